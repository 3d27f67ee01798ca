//! What of `compose.yaml` can be checked without a container engine.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pcdr_real::environment::{Settings, VARIABLES};
use yaml_rust2::{Yaml, YamlLoader};

const SERVERS: [&str; 3] = ["primary", "secondary", "monitor"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn text() -> String {
    std::fs::read_to_string(folder().join("compose.yaml")).unwrap()
}

fn compose() -> Yaml {
    let mut documents = YamlLoader::load_from_str(&text()).unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// A value of a service, with what it takes from `<<`.
fn of<'a>(service: &'a Yaml, key: &str) -> &'a Yaml {
    match &service[key] {
        Yaml::BadValue => &service["<<"][key],
        own => own,
    }
}

fn keys(table: &Yaml) -> BTreeSet<String> {
    let table = table.as_hash().unwrap();
    table.keys().map(|key| key.as_str().unwrap().to_owned()).collect()
}

fn service(compose: &Yaml, name: &str) -> Yaml {
    let service = compose["services"][name].clone();
    assert!(service.as_hash().is_some(), "{name}");
    service
}

/// Source and target of every volume of a service.
fn volumes(service: &Yaml) -> Vec<(String, String)> {
    let volumes = of(service, "volumes").as_vec().unwrap();
    let parts = |volume: &Yaml| {
        let mut parts = volume.as_str().unwrap().split(':').map(str::to_owned);
        (parts.next().unwrap(), parts.next().unwrap())
    };
    volumes.iter().map(parts).collect()
}

#[test]
fn every_server_has_an_agent_a_health_check_and_its_password_from_outside() {
    let compose = compose();
    for name in SERVERS {
        let server = service(&compose, name);
        let environment = of(&server, "environment");
        assert_eq!(environment["ACCEPT_EULA"].as_str(), Some("Y"), "{name}");
        assert_eq!(environment["MSSQL_AGENT_ENABLED"].as_str(), Some("true"), "{name}");
        let password = environment["MSSQL_SA_PASSWORD"].as_str().unwrap();
        assert!(password.starts_with("${PCDR_TEST_PASSWORD:?"), "{name}");
        assert_eq!(server["hostname"].as_str(), Some(name));
        let check = of(&server, "healthcheck");
        let words = check["test"].as_vec().unwrap();
        assert_eq!(words[0].as_str(), Some("CMD-SHELL"));
        // A variable of the container, not of the machine that reads this file.
        assert!(words[1].as_str().unwrap().contains("$$MSSQL_SA_PASSWORD"));
        assert!(check["interval"].as_str().is_some() && check["retries"].as_i64().is_some());
    }
}

#[test]
fn everything_that_a_service_names_exists() {
    let compose = compose();
    let services = keys(&compose["services"]);
    let declared = keys(&compose["volumes"]);
    let mut used = BTreeSet::new();
    for name in &services {
        let service = service(&compose, name);
        assert!(of(&service, "image").as_str().is_some(), "{name}: image");
        for (source, target) in volumes(&service) {
            assert!(target.starts_with('/'), "{name}: {target}");
            if source.starts_with('.') {
                assert!(folder().join(&source).exists(), "{name}: {source}");
            } else {
                assert!(declared.contains(&source), "{name}: volume {source}");
                used.insert(source);
            }
        }
        let depends = of(&service, "depends_on");
        if depends.as_hash().is_some() {
            for other in keys(depends) {
                assert!(services.contains(&other), "{name}: {other}");
                let condition = depends[other.as_str()]["condition"].as_str().unwrap();
                let is_healthy = condition == "service_healthy";
                let has_check =
                    of(&self::service(&compose, &other), "healthcheck").as_hash().is_some();
                assert_eq!(is_healthy, has_check, "{name} waits for {other}");
            }
        }
    }
    assert_eq!(used, declared, "volumes that nobody uses");
}

#[test]
fn the_suite_is_told_where_everything_is() {
    let compose = compose();
    let suite = service(&compose, "suite");
    let environment = of(&suite, "environment").as_hash().unwrap();
    let pairs = environment.iter().map(|(name, value)| {
        (name.as_str().unwrap().to_owned(), value.as_str().unwrap().to_owned())
    });
    let settings = Settings::read(pairs.clone()).unwrap().unwrap();
    assert_eq!(settings.primary.host, "primary");
    assert_eq!(settings.secondary.host, "secondary");
    assert_eq!(settings.monitor.as_ref().unwrap().host, "monitor");
    // The folders are inside of a volume that everybody has at the same place.
    let place = |name: &str, path: &str| {
        let service = service(&compose, name);
        volumes(&service).into_iter().find(|(_, target)| path.starts_with(&format!("{target}/")))
    };
    for folder in [settings.backups.unwrap(), settings.copies.unwrap()] {
        assert_eq!(Path::new(&folder.share), folder.mount);
        let here = place("suite", &folder.share);
        assert!(here.is_some(), "{folder:?}");
        for name in SERVERS.into_iter().chain(["setup"]) {
            assert_eq!(place(name, &folder.share), here, "{name}");
        }
        assert!(text().contains(&format!("mkdir -p {}", "/shared/backups")));
    }
    let authority = settings.ca_file.unwrap();
    assert_eq!(place("suite", &authority), Some(("certificates".into(), "/certificates".into())));
    for (name, _) in pairs.filter(|(name, _)| name.starts_with("PCDR_")) {
        assert!(VARIABLES.iter().any(|(known, _)| *known == name), "{name}");
    }
    // The certificate is for the names that are connected to.
    let conf = std::fs::read_to_string(folder().join("mssql.conf")).unwrap();
    assert!(conf.contains("/certificates/server.pem") && conf.contains("/certificates/server.key"));
    for name in SERVERS {
        assert!(text().contains(&format!("DNS:{name}")), "{name}");
    }
}

#[test]
fn every_variable_that_is_read_from_outside_is_documented() {
    let text = text();
    let mut found = 0;
    for (place, _) in text.match_indices("${") {
        let name: String =
            text[place + 2..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        assert!(VARIABLES.iter().any(|(known, _)| *known == name), "{name}");
        assert!(text.contains(&format!("export {name}=")), "{name}");
        found += 1;
    }
    assert!(found >= 2, "the servers' and the suite's password");
}
