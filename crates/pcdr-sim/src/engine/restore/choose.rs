//! The set that a statement means, read from its devices.

use std::path::Path;

use uuid::Uuid;

use crate::engine::errors::{self, OsError};
use crate::engine::media::{Media, SetContent, SetHeader};
use crate::engine::options::With;
use crate::engine::paths;
use crate::engine::security::Security;
use crate::engine::state::WorldState;
use crate::message::SqlMessage;

/// A set that was chosen on its devices.
pub(crate) struct Chosen {
    pub(crate) header: SetHeader,
    pub(crate) content: Option<SetContent>,
    pub(crate) damaged: bool,
    pub(crate) families: Vec<(Uuid, String)>,
    pub(crate) media_name: Option<String>,
}

/// Reads a device.
pub(crate) fn read_device(
    state: &WorldState,
    root: &Path,
    instance: &str,
    device: &str,
) -> Result<Media, SqlMessage> {
    let cannot = |os: OsError| errors::cannot_open_device(device, os).with_state(2);
    let owner = state.instances.get(instance).ok_or_else(errors::killed)?;
    let place = paths::resolve(state, root, owner, device).map_err(cannot)?;
    if place.path.is_dir() {
        return Err(cannot(OsError::ACCESS_DENIED));
    }
    let bytes = std::fs::read(&place.path)
        .map_err(|error| cannot(paths::open_error(&place.path, &error)))?;
    Media::parse(bytes).map_err(|problem| problem.message(device))
}

/// Reads the devices of a statement and chooses the set at `position`.
pub(crate) fn choose(
    state: &WorldState,
    root: &Path,
    instance: &str,
    devices: &[String],
    position: u32,
) -> Result<Chosen, SqlMessage> {
    let mut all = Vec::new();
    for device in devices {
        all.push(read_device(state, root, instance, device)?);
    }
    let first = &all[0];
    let families = usize::from(first.header.family_count);
    for (media, device) in all.iter().zip(devices) {
        if media.header.media_set != first.header.media_set {
            return Err(errors::foreign_family(device));
        }
    }
    for (i, media) in all.iter().enumerate() {
        let family = media.header.family;
        if let Some(j) = all[..i].iter().position(|other| other.header.family == family) {
            let number = media.header.family_number;
            return Err(errors::family_twice(&devices[i], number, &devices[j]));
        }
    }
    if devices.len() < families {
        return Err(errors::missing_families(families, devices.len()));
    }
    let mut content = None;
    let mut damaged = false;
    let mut header = None;
    for (media, device) in all.iter().zip(devices) {
        let Some(set) = (position as usize).checked_sub(1).and_then(|index| media.sets.get(index))
        else {
            return Err(match media.tail {
                Some(problem) => problem.message(device),
                None => errors::no_position(device),
            });
        };
        damaged |= set.damaged;
        content = content.or_else(|| media.content(set));
        header = header.or_else(|| Some(set.header.clone()));
    }
    let header = header.ok_or_else(|| errors::no_position(&devices[0]))?;
    let own = state.instances.get(instance).ok_or_else(errors::killed)?;
    check_version(&header, own.config.version)?;
    check_encryption(&header, &own.security)?;
    Ok(Chosen {
        damaged: damaged || content.is_none(),
        content,
        families: all
            .iter()
            .zip(devices)
            .map(|(media, device)| (media.header.family, device.clone()))
            .collect(),
        media_name: first.header.name.clone(),
        header,
    })
}

/// An encrypted set needs its certificate.
///
/// # Errors
///
/// 33111.
pub(crate) fn check_encryption(header: &SetHeader, own: &Security) -> Result<(), SqlMessage> {
    match &header.encryption {
        Some((_, thumbprint)) if !own.decrypts(thumbprint) => {
            Err(errors::no_server_certificate(thumbprint))
        }
        _ => Ok(()),
    }
}

/// A newer server's backup is not for an older one.
pub(crate) fn check_version(header: &SetHeader, own: (u8, u8, u16)) -> Result<(), SqlMessage> {
    if header.version.0 > own.0 {
        return Err(errors::newer_version(&version_text(header.version), &version_text(own)));
    }
    Ok(())
}

pub(super) fn version_text((major, minor, build): (u8, u8, u16)) -> String {
    format!("{major:02}.{minor:02}.{build:04}")
}

pub(crate) fn damage(header: &SetHeader, device: &str) -> SqlMessage {
    if header.checksums {
        errors::page_error(&header.database_name, device)
    } else {
        errors::set_damaged()
    }
}

/// The media has the name that the statement gives.
///
/// # Errors
///
/// 4037.
pub(crate) fn check_media_name(
    with: &With,
    device: &str,
    there: Option<&str>,
) -> Result<(), SqlMessage> {
    let there = there.unwrap_or_default();
    match with.text("MEDIANAME") {
        Some(given) if given != there => Err(errors::other_media_name(device, there, &given)),
        _ => Ok(()),
    }
}
