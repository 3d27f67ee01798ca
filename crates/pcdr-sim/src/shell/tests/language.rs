//! The language.

use std::time::Duration;

use super::fake::Bench;
use crate::shell::language::parser;

async fn out(script: &str) -> String {
    Bench::new(Duration::ZERO).ok(script).await
}

async fn err(script: &str) -> String {
    Bench::new(Duration::ZERO).fails(script).await
}

#[tokio::test]
async fn verbatim_strings_end_at_curly_quotes_too() {
    assert_eq!(out("'a''b'").await, "a'b\n");
    assert_eq!(out("'a’’b'").await, "a’b\n");
    assert_eq!(out("'a' + ’b‘").await, "ab\n");
    assert_eq!(out("'$x `n $(1)'").await, "$x `n $(1)\n");
    assert!(err("'a").await.contains("TerminatorExpectedAtEndOfString"));
}

#[tokio::test]
async fn expandable_strings_expand_variables_and_subexpressions() {
    assert_eq!(
        out("$x = 'v'; \"<$x> <${x}> <$(1+2)> `$x \"\"q\"\"\"").await,
        "<v> <v> <3> $x \"q\"\n"
    );
    assert_eq!(out("$x = @{a='b'}; \"$($x.a) $x.a\"").await, "b System.Collections.Hashtable.a\n");
}

#[tokio::test]
async fn a_pipeline_filters_selects_and_computes() {
    assert_eq!(
        out("1,2,3 | Where-Object { $_ -ne 2 } | ForEach-Object { $_ * 10 }").await,
        "10\n30\n"
    );
    let json = "[pscustomobject]@{A=1;B='x'} | Select-Object A,@{n='C';e={\"<$($_.B)>\"}} | ConvertTo-Json -Compress";
    assert_eq!(out(json).await, "{\"A\":1,\"C\":\"\\u003cx\\u003e\"}\n");
    assert_eq!(out("@{A='z'} | Select-Object -ExpandProperty A").await, "z\n");
}

#[tokio::test]
async fn json_of_one_object_is_no_list_unless_it_is_given_as_one() {
    assert_eq!(out("1 | ConvertTo-Json -Compress").await, "1\n");
    assert_eq!(out("1,2 | ConvertTo-Json -Compress").await, "[1,2]\n");
    assert_eq!(out("ConvertTo-Json -Compress -InputObject @(1)").await, "[1]\n");
    assert_eq!(out("ConvertTo-Json -Compress -InputObject @()").await, "[]\n");
    assert_eq!(
        out("@{a=@(1); b=$null; c=$true} | ConvertTo-Json -Compress").await,
        "{\"a\":[1],\"b\":null,\"c\":true}\n"
    );
}

#[tokio::test]
async fn an_enumeration_is_a_number_in_json_and_a_name_in_text() {
    let bench = Bench::new(Duration::ZERO);
    let json = bench
        .ok("Get-CsPersistentChatState | Select-Object PoolState | ConvertTo-Json -Compress")
        .await;
    assert_eq!(json, "{\"PoolState\":0}\n");
    let text = bench.ok("\"$((Get-CsPersistentChatState).PoolState)\"").await;
    assert_eq!(text, "Normal\n");
}

#[tokio::test]
async fn stop_makes_an_error_end_the_script_and_catch_takes_it() {
    let script = "$ErrorActionPreference = 'Stop'; try { Write-Output a; Write-Error 'boom'; Write-Output b } catch { \"caught $($_.Exception.Message)\"; exit 3 }";
    let output = Bench::new(Duration::ZERO).shell.run_script(script, false).await;
    assert_eq!((output.stdout.as_str(), output.exit_code), ("a\ncaught boom\n", 3));
    let going_on = Bench::new(Duration::ZERO)
        .shell
        .run_script("Write-Error 'boom'; Write-Output b", false)
        .await;
    assert_eq!((going_on.stdout.as_str(), going_on.exit_code), ("b\n", 0));
    assert!(going_on.stderr.contains("boom"));
}

#[tokio::test]
async fn errors_name_their_identifier_and_place() {
    let text = err("\n  Get-Nothing -x").await;
    assert!(text.contains("At line:2 char:3"), "{text}");
    assert!(text.contains("FullyQualifiedErrorId : CommandNotFoundException"), "{text}");
    assert!(err("Select-Object -Nope 1").await.contains("NamedParameterNotFound,"));
    assert!(err("Select-Object -E").await.contains("AmbiguousParameter,"));
    assert!(err("[nope]1").await.contains("TypeNotFound"));
    assert!(err("while ($true) {}").await.contains("KeywordNotSupported"));
    assert!(err("1 > file").await.contains("UnexpectedToken"));
    assert!(err("Get-Date > file").await.contains("RedirectionNotSupported"));
    assert!(err("Import-Module Nope").await.contains("Modules_ModuleNotFound"));
}

#[tokio::test]
async fn blocks_conditions_and_loops_run() {
    assert_eq!(out("if (1 -eq 2) { 'a' } elseif ($null) { 'b' } else { 'c' }").await, "c\n");
    assert_eq!(out("foreach ($i in 1..3) { $s += $i }\n$s").await, "6\n");
    assert_eq!(out("& { $x = 1; return $x; 2 }").await, "1\n");
    assert_eq!(out("try { throw 'x' } catch { 'c' } finally { 'f' }").await, "c\nf\n");
    assert_eq!(out("# comment\n<# more #> Write-Host one `\n two").await, "one two\n");
}

#[test]
fn no_input_makes_the_parser_panic_or_hang() {
    let seed = 0x5eed_u64;
    println!("seed {seed:#x}");
    let mut random = seed;
    let pieces = [
        "'", "\"", "’", "$", "(", ")", "{", "}", "@", "|", ";", "\n", "-eq", " ", "`", "if", "try",
        "catch", ",", ".", "[", "]", "a", "1", "#", "<#", ":", "=", "-X:", "&", "é", "\0",
    ];
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..20 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(pieces[(random >> 33) as usize % pieces.len()]);
        }
        let _ = parser::parse(&text);
    }
    assert!(parser::parse(&"(".repeat(100_000)).is_err());
    assert!(parser::parse(&"@{a=".repeat(10_000)).is_err());
    assert!(parser::parse(&"-not ".repeat(10_000)).is_err());
}

#[tokio::test]
async fn the_deepest_script_that_parses_also_runs() {
    let deepest = (1..200)
        .rev()
        .find_map(|n| {
            let script = format!("{}1{}", "$(".repeat(n), ")".repeat(n));
            parser::parse(&script).is_ok().then_some(script)
        })
        .unwrap();
    assert!(deepest.len() > 20, "{deepest}");
    assert_eq!(out(&deepest).await, "1\n");
}

#[tokio::test]
async fn long_chains_run_or_are_refused_but_never_exhaust_the_stack() {
    assert_eq!(out(&format!("1{}", "+1".repeat(900))).await, "901\n");
    assert_eq!(out(&format!("$x{}", ".a".repeat(90))).await, "");
    let failed = err(&format!("1{}", "+1".repeat(5000))).await;
    assert!(failed.contains("ScriptTooComplicated"), "{failed}");
    let failed = err(&format!("$x{}", ".a".repeat(5000))).await;
    assert!(failed.contains("ScriptTooComplicated"), "{failed}");
}

#[tokio::test]
async fn an_error_in_a_calculated_property_gives_null_and_shows_nowhere() {
    let script = "$ErrorActionPreference = 'Stop'; 1,2 | Select-Object @{n='a';e={$null.Nope()}},@{n='b';e={\"$_\"}} | ConvertTo-Json -Compress";
    assert_eq!(out(script).await, "[{\"a\":null,\"b\":\"1\"},{\"a\":null,\"b\":\"2\"}]\n");
}

#[tokio::test]
async fn a_statement_may_span_lines_when_it_is_typed() {
    let script = "try {\n  Get-Nothing\n}\ncatch {\n  'caught'\n}\n'next'\nexit 4\n'never'";
    let output = Bench::new(Duration::ZERO).shell.run_script(script, true).await;
    assert_eq!((output.stdout.as_str(), output.exit_code), ("caught\nnext\n", 4));
}

#[tokio::test]
async fn error_action_of_one_call_overrides_the_preference() {
    let bench = Bench::new(Duration::ZERO);
    let quiet = "Get-CsPersistentChatState -Identity service:no.test -ErrorAction SilentlyContinue; $?; 'on'";
    assert_eq!(bench.ok(quiet).await, "False\non\n");
    let stop = "try { Get-CsPersistentChatState -Identity service:no.test -ea Stop } catch { $_.CategoryInfo.Category }";
    assert_eq!(bench.ok(stop).await, "ObjectNotFound\n");
    let text = bench.fails("Get-CsPersistentChatState -Identity service:no.test; 'on' | Out-Null; throw 'end'; 'never'").await;
    assert!(text.contains("ServiceNotFound,") && text.contains("OperationStopped"), "{text}");
}
