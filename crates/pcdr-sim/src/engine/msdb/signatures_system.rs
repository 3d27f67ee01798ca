//! The parameters of the system and extended procedures.
//!
//! Source: the vendor's pages where there are any; the extended file procedures are undocumented and
//! follow what their wide use has shown.

use super::Procedure as P;
use super::signature::{MAX, Parameter, Signature, number, optional, output, required, system};
use crate::value::{SqlType, SqlType::*};

const NONE: &[Parameter] = &[];
const PATH: SqlType = SqlType::nvarchar(4000);

/// Every system procedure that is not about log shipping or the Agent.
pub(super) const ALL: &[Signature] = &[
    system("sp_who", P::Who, &[optional("@loginame", SqlType::SYSNAME)]),
    system("sp_who2", P::Who2, &[optional("@loginame", SqlType::SYSNAME)]),
    system("sp_helpdb", P::Helpdb, &[optional("@dbname", SqlType::SYSNAME)]),
    system(
        "sp_configure",
        P::Configure,
        &[optional("@configname", SqlType::nvarchar(35)), optional("@configvalue", Int)],
    ),
    system(
        "xp_dirtree",
        P::Dirtree,
        &[required("@path", PATH), number("@depth", Int, 0), number("@file", Int, 0)],
    ),
    system("xp_subdirs", P::Subdirs, &[required("@path", PATH)]),
    system("xp_fileexist", P::Fileexist, &[required("@path", PATH), output("@exists", Int)]),
    system("xp_create_subdir", P::CreateSubdir, &[required("@path", PATH)]),
    system(
        "xp_delete_file",
        P::DeleteFile,
        &[
            required("@type", Int),
            required("@path", PATH),
            optional("@extension", SqlType::nvarchar(128)),
            optional("@cutoff", SqlType::nvarchar(50)),
            number("@subfolders", Int, 0),
        ],
    ),
    Signature {
        since: 15,
        ..system("xp_delete_files", P::DeleteFiles, &[required("@path", PATH)])
    },
    Signature {
        since: 15,
        ..system(
            "xp_copy_file",
            P::CopyFile,
            &[required("@source", PATH), required("@destination", PATH)],
        )
    },
    Signature {
        since: 15,
        ..system(
            "xp_copy_files",
            P::CopyFiles,
            &[required("@source", PATH), required("@destination", PATH)],
        )
    },
    system("xp_fixeddrives", P::Fixeddrives, NONE),
    system(
        "xp_cmdshell",
        P::Cmdshell,
        &[required("@command", MAX), optional("@no_output", SqlType::nvarchar(9))],
    ),
    system(
        "xp_servicecontrol",
        P::Servicecontrol,
        &[required("@action", SqlType::nvarchar(20)), required("@service", SqlType::nvarchar(128))],
    ),
    system("sp_dbmmonitoraddmonitoring", P::DbmAddMonitoring, &[number("@update_period", Int, 1)]),
    system(
        "sp_dbmmonitorchangemonitoring",
        P::DbmChangeMonitoring,
        &[required("@parameter_id", Int), required("@value", Int)],
    ),
    system("sp_dbmmonitordropmonitoring", P::DbmDropMonitoring, NONE),
    system("sp_dbmmonitorhelpmonitoring", P::DbmHelpMonitoring, NONE),
    system("sp_dbmmonitorupdate", P::DbmUpdate, &[optional("@database_name", SqlType::SYSNAME)]),
    system(
        "sp_dbmmonitorresults",
        P::DbmResults,
        &[
            required("@database_name", SqlType::SYSNAME),
            number("@mode", Int, 0),
            number("@update_table", Int, 0),
        ],
    ),
];
