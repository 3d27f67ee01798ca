//! The end of a rehearsal, for people.

use std::fmt::Write as _;
use std::time::Duration;

use pcdr_core::Intent;
use pcdr_core::time::readable;

use crate::plan::steps_table;
use crate::text;
use crate::views::RehearseDocument;

/// Steps and times, proofs, and the figures.
pub(super) fn text(document: &RehearseDocument) -> String {
    let mut text = format!("\n{}\n\n", steps_table(&document.steps));
    let mut proofs = text::table(["proved", "claim", "found"]);
    for proof in &document.proofs {
        let held = if proof.held { "yes" } else { "NO" };
        proofs.add_row([held, &proof.claim, &proof.found]);
    }
    let duration = |seconds: f64| readable(Duration::from_secs_f64(seconds.max(0.0)));
    let RehearseDocument { records_written, records_saved, records_lost, .. } = document;
    if document.plan.intent == Intent::Drill {
        let _infallible = write!(
            text,
            "{proofs}\n\n\
             Records: {records_written} written, {records_saved} in the copy, {records_lost} in no log backup \
             yet.\n\
             A loss of the primary now would cost what was accepted in the last {}.\n\
             The recovery itself took {}.\n\
             Run: {}. Time was {}; the whole rehearsal took {}. Seed {}.\n",
            duration(document.rpo_seconds),
            duration(document.rto_seconds),
            duration(document.run_seconds),
            document.time,
            duration(document.wall_seconds),
            document.seed,
        );
        return end(text, document);
    }
    let _infallible = write!(
        text,
        "{proofs}\n\n\
         Records: {records_written} written, {records_saved} saved, {records_lost} lost, as predicted: {}.\n\
         RPO: {} of accepted work lost.\n\
         RTO: {} from {} to the resumed service.\n\
         Run: {}, of which at most {} were ours rather than the servers' and the product's.\n\
         Our own computing took {} on the wall.\n\
         Time was {}; the whole rehearsal took {}. Seed {}.\n",
        if document.proved { "yes" } else { "see above" },
        duration(document.rpo_seconds),
        duration(document.rto_seconds),
        if document.plan.intent == Intent::PlannedFailover {
            "the first write that was refused"
        } else {
            "the disaster"
        },
        duration(document.run_seconds),
        duration(document.own_seconds),
        duration(document.own_computing_seconds),
        document.time,
        duration(document.wall_seconds),
        document.seed,
    );
    end(text, document)
}

fn end(mut text: String, document: &RehearseDocument) -> String {
    if let Some(kept) = &document.kept {
        let _infallible = writeln!(text, "Kept in {}.", kept.display());
    }
    text.push_str(if document.proved {
        "Proved: everything that the plan promised.\n"
    } else {
        "NOT PROVED: the claims marked NO did not hold.\n"
    });
    text
}
