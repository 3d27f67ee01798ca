//! The clients, and what each of them must be able to do.

/// What a script is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Run by the virtual environment's interpreter.
    Python,
    /// Run by Node.js.
    JavaScript,
}

/// A client, as one script drives it.
#[derive(Debug)]
pub struct Client {
    /// Name of the client in tests and transcripts.
    pub name: &'static str,
    /// What the script is written in.
    pub language: Language,
    /// File in `scripts/`.
    pub script: &'static str,
    /// What the script is told beside the environment.
    pub arguments: &'static [&'static str],
    /// Checks of [`EVERY_CLIENT`] that this client has no means for, and why.
    pub cannot: &'static [(&'static str, &'static str)],
    /// Checks of this client alone.
    pub also: &'static [&'static str],
}

impl Client {
    /// Every check that the script must report.
    pub fn checks(&self) -> Vec<&'static str> {
        EVERY_CLIENT
            .iter()
            .filter(|check| self.cannot.iter().all(|(cannot, _)| cannot != *check))
            .chain(self.also)
            .copied()
            .collect()
    }
}

/// What every client is asked for.
pub const EVERY_CLIENT: [&str; 18] = [
    "connects_and_is_told_who_the_server_is",
    "wrong_password_is_refused_with_18456",
    "restoring_database_is_refused_with_4060",
    "certificate_is_verified_and_the_connection_encrypted",
    "values_of_every_type_come_out",
    "null_of_every_type_comes_out",
    "values_of_every_type_go_in",
    "null_of_every_type_goes_in",
    "several_result_sets_keep_their_order",
    "every_error_of_a_batch_arrives",
    "messages_arrive_and_are_no_errors",
    "output_parameters_and_return_status_arrive",
    "values_of_megabytes_go_in_and_come_out",
    "cancelled_statement_stops_and_the_connection_is_usable",
    "committed_transaction_stays",
    "transaction_is_rolled_back",
    "killed_session_is_noticed",
    "prepared_statement_runs_many_times",
];

/// What the vendor's ODBC driver is asked for by its own functions.
const ODBC_DRIVER: [&str; 2] =
    ["errors_carry_number_state_and_sqlstate", "transactions_of_the_driver_end_as_they_are_told"];

/// The clients.
pub const CLIENTS: [Client; 7] = [
    Client {
        name: "mssql-python-mandatory",
        language: Language::Python,
        script: "with_mssql_python.py",
        arguments: &["mandatory"],
        cannot: &[],
        also: &ODBC_DRIVER,
    },
    Client {
        name: "mssql-python-strict",
        language: Language::Python,
        script: "with_mssql_python.py",
        arguments: &["strict"],
        cannot: &[],
        also: &ODBC_DRIVER,
    },
    Client {
        name: "freetds-tools",
        language: Language::Python,
        script: "with_freetds_tools.py",
        arguments: &[],
        cannot: &[
            ("values_of_every_type_go_in", "its tools have no parameters"),
            ("null_of_every_type_goes_in", "its tools have no parameters"),
            ("prepared_statement_runs_many_times", "its tools prepare nothing"),
            (
                "cancelled_statement_stops_and_the_connection_is_usable",
                "its tools end when they are interrupted",
            ),
        ],
        also: &["connects_without_encryption"],
    },
    Client {
        name: "pymssql",
        language: Language::Python,
        script: "with_pymssql.py",
        arguments: &[],
        cannot: &[],
        also: &["connects_without_encryption"],
    },
    Client {
        name: "python-tds",
        language: Language::Python,
        script: "with_pytds.py",
        arguments: &[],
        cannot: &[],
        also: &["connects_without_encryption", "encrypts_the_login_alone"],
    },
    Client {
        name: "tedious-mandatory",
        language: Language::JavaScript,
        script: "with_tedious.js",
        arguments: &["mandatory"],
        cannot: &[],
        also: &["reset_connection_forgets_the_session", "connects_without_encryption"],
    },
    Client {
        name: "tedious-strict",
        language: Language::JavaScript,
        script: "with_tedious.js",
        arguments: &["strict"],
        cannot: &[],
        also: &["reset_connection_forgets_the_session"],
    },
];
