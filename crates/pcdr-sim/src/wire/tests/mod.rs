//! The wire as clients see it: driven by tiberius, and by bytes that no client would send.

mod clients;
mod encryption;
mod front;
mod fuzz;
mod independent;
mod raw;
mod virtual_time;
