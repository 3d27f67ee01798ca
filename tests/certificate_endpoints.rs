//! Mirroring over endpoints that an administrator made, which authenticate by certificate: configured like
//! any others; where one side does not know the other's certificate, the run says so and is taken back.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]

use pcdr_cli::plan;
use pcdr_core::run::RunError;
use pcdr_core::{ErrorCode, Intent, Plan};
use pcdr_tests::{STRETCHED, Stage, Unseen, name, virtually};

/// The example's instances with the ports of their endpoints, by site.
const NORTH: [(&str, u16); 3] = [("sql-n1", 5022), ("sql-n2", 5022), ("sql-n3", 7022)];
const SOUTH: [(&str, u16); 2] = [("sql-s1", 5022), ("sql-s2", 5022)];

async fn sql(stage: &Stage, at: &str, batch: &str) -> Vec<pcdr_sql::connection::ResultSet> {
    let sent = stage.workload.send(&name(at), batch.to_owned()).await;
    sent.unwrap_or_else(|error| panic!("{at}: {batch}: {error}"))
}

/// Master key, certificate and endpoint.
async fn outbound(stage: &Stage, at: &str, port: u16) {
    let batch = format!(
        "CREATE MASTER KEY ENCRYPTION BY PASSWORD = N'a Strong1 password';\n\
         CREATE CERTIFICATE [of {at}] WITH SUBJECT = N'{at}', EXPIRY_DATE = N'20401231';\n\
         CREATE ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = {port}, LISTENER_IP = ALL) \
         FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE [of {at}], ENCRYPTION = REQUIRED ALGORITHM AES, \
         ROLE = ALL);"
    );
    sql(stage, at, &batch).await;
}

/// The certificate of `of` is known on `at`, and its login may connect.
async fn inbound(stage: &Stage, at: &str, of: &str) {
    let query =
        format!("SELECT CONVERT(nvarchar(max), CERTENCODED(CERT_ID(N'of {of}')), 1) AS encoded;");
    let sets = sql(stage, of, &query).await;
    let encoded: String = sets[0].rows[0].get("encoded").unwrap();
    let batch = format!(
        "CREATE LOGIN [{of}] WITH PASSWORD = N'a Strong1 password';\n\
         CREATE USER [{of}] FOR LOGIN [{of}];\n\
         CREATE CERTIFICATE [of {of}] AUTHORIZATION [{of}] FROM BINARY = {encoded};\n\
         GRANT CONNECT ON ENDPOINT::Mirroring TO [{of}];"
    );
    sql(stage, at, &batch).await;
}

/// Every instance has its endpoint, and knows those of its site but for those that are left out.
async fn made_by_hand(stage: &Stage, left_out: &[(&str, &str)]) {
    for site in [&NORTH[..], &SOUTH[..]] {
        for (at, port) in site {
            outbound(stage, at, *port).await;
        }
        for (at, _) in site {
            for (of, _) in site.iter().filter(|(of, _)| of != at) {
                if !left_out.contains(&(*at, *of)) {
                    inbound(stage, at, of).await;
                }
            }
        }
    }
}

async fn planned(stage: &Stage) -> Plan {
    let made = plan::make(Intent::Configure, stage.topology(), stage.ports(), &[]).await;
    made.unwrap_or_else(|failure| panic!("{}", failure.text(false))).0
}

#[test]
fn endpoints_with_certificates_are_used_as_they_are() {
    virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        made_by_hand(&stage, &[]).await;
        let plan = planned(&stage).await;
        let texts: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
        assert!(!texts.iter().any(|text| text.contains("mirroring endpoint")), "{texts:#?}");
        assert!(texts.iter().any(|text| text.contains("set mirroring witness")), "{texts:#?}");
        stage.succeeds(&plan).await;
        assert_eq!(pcdr_core::drift::drift(stage.topology(), &stage.observe().await), []);
        assert!(planned(&stage).await.steps.is_empty());
    });
}

#[test]
fn a_partner_or_witness_whose_certificate_is_unknown_stops_the_run_which_is_taken_back() {
    for (unknown, number, step) in [
        (("sql-n2", "sql-n1"), 1418, "set mirroring partner"),
        (("sql-n1", "sql-n2"), 1418, "set mirroring partner"),
        (("sql-n3", "sql-n1"), 1456, "set mirroring witness"),
        (("sql-n2", "sql-n3"), 1456, "set mirroring witness"),
    ] {
        virtually(async {
            let stage = Stage::bare(STRETCHED).await;
            made_by_hand(&stage, &[unknown]).await;
            let before = stage.snapshot().await;
            let plan = planned(&stage).await;
            let failed = stage.apply(&plan, &Unseen).await.unwrap_err();
            let RunError::Step { action, error, taken_back: Some(taken_back), .. } = failed else {
                panic!("{unknown:?}: {failed:?}")
            };
            assert!(action.contains(step), "{unknown:?}: {action}");
            assert_eq!(error.code, ErrorCode::Mirroring, "{unknown:?}: {error}");
            assert_eq!(error.number, Some(number), "{unknown:?}: {error}");
            assert!(error.remedy.contains("certificate"), "{error}");
            assert!(taken_back.is_complete(), "{unknown:?}: {taken_back:#?}");
            stage.taken_back_to(&before, &format!("{unknown:?}")).await;
            // Once it is known, the same plan is carried out.
            inbound(&stage, unknown.0, unknown.1).await;
            stage.succeeds(&planned(&stage).await).await;
        });
    }
}
