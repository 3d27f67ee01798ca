//! Every kind of step there is. A new one fails to compile here until it is compared, too.

use pcdr_core::step::{Action, DatabaseAction, FileAction, LogShippingAction, PoolAction};

macro_rules! kinds {
    ($($name:ident),* $(,)?) => {
        /// The kind of a step.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Kind {
            $($name,)*
        }

        impl Kind {
            pub(crate) const ALL: &[Kind] = &[$(Kind::$name),*];
        }
    };
}

kinds! {
    CreateMirroringEndpoint, SetRecoveryFull, BackUpDatabase, BackUpLog, BackUpTail, RestoreDatabase, RestoreLog,
    EndSessions, Recover, SetPartner, SetWitness, AwaitSynchronized, FailOverMirror,
    ForceService, RemoveWitness, RemoveMirroring, AddPrimary,
    AddSecondary, ChangePrimary, ChangeSecondary, AddAlertJob, AddPrimarySecondary, HoldBackupJob, HoldSecondaryJobs, RemoveSecondary,
    RemoveSecondaryPrimary, RemovePrimarySecondary, RemovePrimary, RemoveAlertJob, RunBackupJob, RunCopyJob,
    DropMirroringEndpoint, StopMirroringEndpoint, SetRecoveryBack, DropRestoring,
    RunRestoreJob, Copy, SetState, InstallMirror, FailOverDatabase, ClearActiveServers, AddActiveServer, AwaitServers,
}

impl Kind {
    pub(crate) fn of(action: &Action) -> Kind {
        match action {
            Action::Database(_, _, action) => match action {
                DatabaseAction::CreateMirroringEndpoint { .. } => Kind::CreateMirroringEndpoint,
                DatabaseAction::SetRecoveryFull => Kind::SetRecoveryFull,
                DatabaseAction::BackUpDatabase { .. } => Kind::BackUpDatabase,
                DatabaseAction::BackUpLog { .. } => Kind::BackUpLog,
                DatabaseAction::BackUpTail { .. } => Kind::BackUpTail,
                DatabaseAction::RestoreDatabase { .. } => Kind::RestoreDatabase,
                DatabaseAction::RestoreLog { .. } => Kind::RestoreLog,
                DatabaseAction::EndSessions => Kind::EndSessions,
                DatabaseAction::Recover { .. } => Kind::Recover,
                DatabaseAction::SetPartner { .. } => Kind::SetPartner,
                DatabaseAction::SetWitness { .. } => Kind::SetWitness,
                DatabaseAction::AwaitSynchronized => Kind::AwaitSynchronized,
                DatabaseAction::FailOverMirror => Kind::FailOverMirror,
                DatabaseAction::ForceService => Kind::ForceService,
                DatabaseAction::RemoveWitness => Kind::RemoveWitness,
                DatabaseAction::RemoveMirroring => Kind::RemoveMirroring,
                DatabaseAction::DropMirroringEndpoint { .. } => Kind::DropMirroringEndpoint,
                DatabaseAction::StopMirroringEndpoint { .. } => Kind::StopMirroringEndpoint,
                DatabaseAction::SetRecoveryBack { .. } => Kind::SetRecoveryBack,
                DatabaseAction::DropRestoring => Kind::DropRestoring,
                // In every order that a drill's plan allows and in those that it does not: tests/drill.rs.
                DatabaseAction::Drill(_) => unreachable!("no walk draws a step of a drill"),
            },
            Action::LogShipping(_, _, action) => match action {
                LogShippingAction::AddPrimary(_) => Kind::AddPrimary,
                LogShippingAction::AddSecondary(_) => Kind::AddSecondary,
                LogShippingAction::ChangePrimary { .. } => Kind::ChangePrimary,
                LogShippingAction::ChangeSecondary { .. } => Kind::ChangeSecondary,
                LogShippingAction::AddAlertJob { .. } => Kind::AddAlertJob,
                LogShippingAction::AddPrimarySecondary { .. } => Kind::AddPrimarySecondary,
                LogShippingAction::HoldBackupJob { .. } => Kind::HoldBackupJob,
                LogShippingAction::HoldSecondaryJobs => Kind::HoldSecondaryJobs,
                LogShippingAction::RemoveSecondary => Kind::RemoveSecondary,
                LogShippingAction::RemoveSecondaryPrimary { .. } => Kind::RemoveSecondaryPrimary,
                LogShippingAction::RemovePrimarySecondary { .. } => Kind::RemovePrimarySecondary,
                LogShippingAction::RemovePrimary => Kind::RemovePrimary,
                LogShippingAction::RemoveAlertJob => Kind::RemoveAlertJob,
                LogShippingAction::RunBackupJob => Kind::RunBackupJob,
                LogShippingAction::RunCopyJob => Kind::RunCopyJob,
                LogShippingAction::RunRestoreJob => Kind::RunRestoreJob,
            },
            Action::Files(_, FileAction::Copy { .. }) => Kind::Copy,
            Action::Pool(_, action) => match action {
                PoolAction::SetState(_) => Kind::SetState,
                PoolAction::InstallMirror { .. } => Kind::InstallMirror,
                PoolAction::FailOverDatabase { .. } => Kind::FailOverDatabase,
                PoolAction::ClearActiveServers => Kind::ClearActiveServers,
                PoolAction::AddActiveServer(_) => Kind::AddActiveServer,
                PoolAction::AwaitServers(_) => Kind::AwaitServers,
            },
        }
    }
}
