//! pcdr-skype
