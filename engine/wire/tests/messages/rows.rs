//! Lines and what they mean, row by row.

use greyhound_wire::{Options, write_unescaped};

use crate::telling::told;

const EVERYTHING: Options = Options {
    timestamps: true,
    client_origin: true,
};

fn check_with(options: Options, line: &str, expected: &str) {
    let found = match told(line.as_bytes(), options) {
        Ok(told) => told,
        Err(error) => format!("{}@{}", error.kind.as_str(), error.offset),
    };
    assert_eq!(found, expected, "{line}");
}

fn check(line: &str, expected: &str) {
    check_with(EVERYTHING, line, expected);
}

#[test]
fn metrics_of_each_type() {
    check("a:1|c", "counter a values=[1.0]");
    check("a:1|g", "gauge a values=[1.0]");
    check("a:1|h", "histogram a values=[1.0]");
    check("a:1|ms", "timing a values=[1.0]");
    check("a:1|d", "distribution a values=[1.0]");
    check("a:1|s", "set a member=1");
    check("a:x:y|s", "set a member=x:y");
    check("a::|s", "set a member=:");
    check("a:+4|g", "gauge a values=[4.0]");
    check(" a b :1|c", "counter  a b  values=[1.0]");
}

#[test]
fn packs_skip_empty_elements() {
    check("a:1:2:3.5|h", "histogram a values=[1.0, 2.0, 3.5]");
    check("a:::4:::5::|g", "gauge a values=[4.0, 5.0]");
    check("a:7:|c", "counter a values=[7.0]");
    check("a:1:nan:0x1p3|d", "distribution a values=[1.0, NaN, 8.0]");
    check(
        "a:12345678901234567890:1e3|d",
        "distribution a values=[1.2345678901234567e19, 1000.0]",
    );
}

#[test]
fn fields_of_metrics() {
    check(
        "a:1|c|@0.5|#x,y:z",
        "counter a values=[1.0] rate=0.5 tags=[x y:z]",
    );
    check("a:1|c|#x|@0.5", "counter a values=[1.0] rate=0.5 tags=[x]");
    check("a:1|c|@5e-1|@1e-1", "counter a values=[1.0] rate=0.1");
    check("a:1|c|@nan", "counter a values=[1.0] rate=NaN");
    check("a:1|c|#a|#", "counter a values=[1.0]");
    check("a:1|c|#,", "counter a values=[1.0] tags=[ ]");
    check("a:1|c|||#x||", "counter a values=[1.0] tags=[x]");
    check("a:1|c|zebra|x:9|t5", "counter a values=[1.0]");
    check("a:1|c|T+17|T18", "counter a values=[1.0] time=18");
    check(
        "a:1|c|card:low|T17|#a|e:cn-q|@0.5|c:in-7|c:in-8",
        "counter a values=[1.0] rate=0.5 tags=[a] time=17 c=in-8 e=cn-q card=low",
    );
    check("a:1|c|c:x|c:|ca:y|card", "counter a values=[1.0]");
}

#[test]
fn fields_that_are_switched_off_are_not_read() {
    let nothing = Options {
        timestamps: false,
        client_origin: false,
    };
    check_with(
        nothing,
        "a:1|c|T0|Tx|c:a|e:b|card:c|#t",
        "counter a values=[1.0] tags=[t]",
    );
    check_with(
        nothing,
        "_sc|a|0|c:a|e:b|card:c|#t",
        "check a status=ok tags=[t]",
    );
    check_with(
        nothing,
        "_e{1,1}:a|b|c:a|e:b|card:c|#t",
        "event a text=b priority=normal alert=info tags=[t]",
    );
}

#[test]
fn refused_metrics_and_the_byte_they_point_at() {
    check("", "metric_format@0");
    check("some words", "metric_format@10");
    check("a:4", "metric_format@3");
    check("|", "metric_name_value@0");
    check("a|g", "metric_name_value@1");
    check("a|g|#a:b", "metric_name_value@1");
    check(":5|g", "metric_name_value@0");
    check("a:|g", "metric_name_value@2");
    check(":|", "metric_name_value@0");
    check("a:1|", "metric_type@4");
    check("a:1||#x", "metric_type@4");
    check("a:1|G", "metric_type@4");
    check("a:1|m", "metric_type@4");
    check("a:1|gauge", "metric_type@4");
    check("a:1| g", "metric_type@4");
    check("a:x|zz", "metric_type@4");
    check("a:1x|c", "metric_value@3");
    check("a:1e309|c", "metric_value@2");
    check("a:1:2x:3|c", "metric_value@5");
    check("a:::|c", "metric_value@2");
    check("a:1|c|@", "metric_sample_rate@7");
    check("a:1|c|@0.5x|T0", "metric_sample_rate@10");
    check("a:1|c|@bad|@1", "metric_sample_rate@7");
    check("a:1|c|T", "metric_timestamp@7");
    check("a:1|c|T0|@x", "metric_timestamp@7");
    check("a:1|c|T-5", "metric_timestamp@7");
    check("a:1|c|T17.5", "metric_timestamp@9");
    check("a:1|c|T5|T9223372036854775808", "metric_timestamp@10");
}

#[test]
fn events() {
    check(
        "_e{6,4}:Deploy|done",
        "event Deploy text=done priority=normal alert=info",
    );
    check(
        "_e{6,4}:Deploy|done|d:17|h:ci|k:key|p:low|s:src|t:success|#a,b|c:x|e:y|card:z",
        "event Deploy text=done time=17 host=ci key=key priority=low source=src alert=success \
         tags=[a b] c=x e=y card=z",
    );
    check("_e{1,0}:a|", "event a priority=normal alert=info");
    check(
        "_e{3,3}:a|b|c|d",
        "event a|b text=c|d priority=normal alert=info",
    );
    check("_e{1,+01]:a#b", "event a text=b priority=normal alert=info");
    check(
        "_e{1,1}:a|btail|t:error",
        "event a text=b priority=normal alert=error",
    );
    check("_e{1,1}:a|bp:low", "event a text=b priority=low alert=info");
    check(
        "_e{1,1}:a|b|t:warning|t:fatal",
        "event a text=b priority=normal alert=warning",
    );
    check(
        "_e{1,1}:a|b|d:5|d:x",
        "event a text=b time=5 priority=normal alert=info",
    );
    check(
        "_e{1,1}:a|b|d:5|d:0",
        "event a text=b priority=normal alert=info",
    );
    check(
        "_e{1,1}:a|b|d:-5|h:x|h:",
        "event a text=b time=-5 priority=normal alert=info",
    );
    check(
        "_e{1,1}:a|b|m:x|@0|T0",
        "event a text=b priority=normal alert=info",
    );
}

#[test]
fn refused_events_and_the_byte_they_point_at() {
    check("_e{5,4}Alarm|text", "event_format@17");
    check("_e{}:a|b", "event_header@4");
    check("_e{12}:a|b", "event_header@6");
    check("_e{1234}:a|b", "event_header@7");
    check("_e{five,4}:a|b", "event_header@3");
    check("_e{5x,4}:a|b", "event_header@4");
    check("_e{5,}:a|bcdef", "event_header@6");
    check("_e{55,}:a|b", "event_header@6");
    check("_e{5,-4}:Alarm|text", "event_header@5");
    check("_e{-5,4}:Alarm|text", "event_header@3");
    check("_e{5,4,1}:Alarm|text", "event_header@6");
    check("_e{5,99999999999999999999}:a|b", "event_header@5");
    check("_e{0,x}:|b", "event_empty_title@3");
    check("_e{9,9}:title|text", "event_length@18");
    check(
        "_e{9223372036854775807,9223372036854775807}:a|b",
        "event_length@47",
    );
}

#[test]
fn service_checks() {
    check("_sc|app.up|0", "check app.up status=ok");
    check("_sc|app.up|1|", "check app.up status=warning");
    check(
        "_sc|app up: x|2|d:17|h:api|#a|m:no route|c:x|e:y|card:z",
        "check app up: x status=critical time=17 host=api message=no route tags=[a] c=x e=y card=z",
    );
    check(
        "_sc|a|3|m:x\\ny\\:z|m:l|r",
        "check a status=unknown message=l",
    );
    check("_sc|a|0|p:low|t:error|k:x|s:y|@x|T0", "check a status=ok");
    check("_sc#a|0|d:x|#b", "check a status=ok tags=[b]");
    check("_scname|0|x", "check ame status=ok");
}

#[test]
fn refused_service_checks_and_the_byte_they_point_at() {
    check("_sc", "service_check_format@3");
    check("_scheduler.runs:9|c", "service_check_format@19");
    check("_sc|app.up", "service_check_format@10");
    check("_sc||0", "service_check_name@4");
    check("_scx||", "service_check_name@4");
    check("_sc|a|", "service_check_status@6");
    check("_sc|a|4", "service_check_status@6");
    check("_sc|a|00|#x", "service_check_status@6");
    check("_sc|a|OK", "service_check_status@6");
}

#[test]
fn only_a_backslash_and_n_are_unescaped() {
    for (text, expected) in [
        ("", ""),
        ("plain", "plain"),
        ("one\\ntwo\\n", "one\ntwo\n"),
        ("z\\\\nw", "z\\\nw"),
        ("a\\tb\\", "a\\tb\\"),
    ] {
        let mut out = b"> ".to_vec();
        write_unescaped(text.as_bytes(), &mut out);
        assert_eq!(out, format!("> {expected}").as_bytes());
    }
}
