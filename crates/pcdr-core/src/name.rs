//! Names of things: strings that cannot be mistaken for one another.
//!
//! Names are compared exactly as the topology spells them. They are hostile input: nothing here
//! quotes them, and nothing but an adapter's quoting module may put one into a statement.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(Arc::from(name))
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self(Arc::from(name))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// A SQL Server instance, by the name that the topology gives it.
    InstanceName
}
name! {
    /// A database, as in `sys.databases.name`.
    DatabaseName
}
name! {
    /// A site: a data centre.
    SiteName
}
name! {
    /// A chat server, by its fully qualified domain name.
    ServerName
}
name! {
    /// A Persistent Chat pool, by its fully qualified domain name.
    PoolName
}
name! {
    /// A file share, by the name that the topology gives it.
    ShareName
}
