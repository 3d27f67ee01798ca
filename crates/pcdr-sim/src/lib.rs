//! Stand-ins for the servers that pcdr works with: SQL Server and the product's Management Shell.
//!
//! The SQL Server stand-in is an engine, not a table of answers: it parses T-SQL, evaluates it over
//! its state, and speaks TDS 7.4 with TLS, so that a client it has never seen gets true answers. It
//! knows nothing of `pcdr-core`: it is written from the vendor's documented facts alone, so that the
//! planner's model and the stand-in can catch each other.
//!
//! ```
//! use pcdr_sim::engine::{state::InstanceConfig, world::World};
//! use pcdr_sim::front::{Front, Login, Replies, Reply, Request};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
//! # runtime.block_on(async {
//! let disks = tempfile::tempdir()?;
//! let epoch = "2026-03-01T10:00:00Z".parse()?;
//! let world = World::new(disks.path(), 1, epoch)?;
//! world.add_site("north");
//! let config = InstanceConfig::new("sql-a", "north");
//! let login = Login::sql("sa", &config.sa_password);
//! let instance = world.add_instance(config)?;
//!
//! let mut session = instance.login(&login).await?; // over TDS: `wire::Listener::bind`
//! let (sender, mut replies) = tokio::sync::mpsc::channel(100);
//! let batch = "RESTORE LOG [o'brien] FROM DISK = N'D:\\none.trn' WITH NORECOVERY;";
//! session.run(Request::Batch(batch.into()), Replies(sender), Default::default()).await;
//! let mut numbers = Vec::new();
//! while let Some(reply) = replies.recv().await {
//!     if let Reply::Message(message) = reply {
//!         numbers.push(message.number);
//!     }
//! }
//! assert_eq!(numbers.last(), Some(&3013)); // as the server: the cause first, then 3013
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod engine;
pub mod front;
pub mod message;
pub mod shell;
pub mod tsql;
pub mod value;
pub mod wire;
