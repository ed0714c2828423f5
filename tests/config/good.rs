//! Valid text, and the configuration that it gives.

use super::*;

/// What it is about, the text, and what it comes to.
const GOOD: &[(&str, &str, &str)] = &[
    ("nothing", "", "app-myhost"),
    ("blank lines, comments, CRLF", " \t\r\n# datasrc-port 1\r\n  #x\r\n", "app-myhost"),
    ("a byte order mark", "\u{feff}datasrc-id 7", "app-myhost id 7"),
    (
        "every global item",
        "datasrc-name n\ndatasrc-local-label l\ndatasrc-id 4294967295\n\
         datasrc-interface 127.0.0.1 ::1\ndatasrc-port 65535\ndatasrc-heartbeat-time 3\n\
         datasrc-heartbeat-slack-time 0.5\ndatasrc-reject-new-peers\n\
         datasrc-tcp-nodelay-off TRUE\npeer-accept-wait-time 2.5\nheartbeat-mode always\n\
         heartbeat-time-min 0.2\nnode-queue-bytes 1024\nsend-queue-bytes 1024\nreconnect-time-min 1\n\
         reconnect-time-max 1\nadd-peer\nport 1\nend-peer",
        "n label l id 4294967295 on 127.0.0.1,::1 port 65535 reject nagle wait 2.5s \
         heartbeat 3s@6 slack 500ms@7 mode Always@11 floor 200ms@12\n\
         localhost:1 at localhost:1 heartbeat 3s@6 slack 500ms@7 mode Always@11 floor 200ms@12 \
         queue 1024 dial 1s..1s",
    ),
    (
        "every item of a peer",
        "add-peer\naddr h\nport 9\nremote-name n\nremote-label l\nremote-id 3\nlocal-name me\n\
         local-label mine\nlocal-id 4\nheartbeat-time 0.01\nheartbeat-slack-time 86400\n\
         connect-timeout 1\nheartbeat-mode ALWAYS\nheartbeat-time-min 0.01\n\
         send-queue-bytes 1073741824\nreconnect-time-min 0.01\nreconnect-time-max 0.02\nend-peer\n\
         node-queue-bytes 1073741824",
        "app-myhost\nn at h:9 label l id 3 as me as-label mine as-id 4 heartbeat 10ms@10 \
         slack 86400s@11 mode Always@13 floor 10ms@14 connect 1s queue 1073741824 \
         dial 10ms..20ms",
    ),
    (
        "seconds in all their forms",
        "datasrc-heartbeat-time 00005.\ndatasrc-heartbeat-slack-time .1234567891",
        "app-myhost heartbeat 5s@1 slack 123.456789ms@2",
    ),
    ("no heartbeat-time", "datasrc-heartbeat-time 0.0", "app-myhost heartbeat none@1"),
    ("a port of our choice", "datasrc-port Auto", "app-myhost port auto"),
    ("no port", "datasrc-port 9\ndatasrc-port 0", "app-myhost"),
    ("the last one holds", "datasrc-id 1\ndatasrc-id 2", "app-myhost id 2"),
    ("the mode of old", "heartbeat-mode always\nheartbeat-mode Idle", "app-myhost mode Idle@2"),
    (
        "booleans that are not",
        "datasrc-reject-new-peers\ndatasrc-reject-new-peers False\ndatasrc-tcp-nodelay-off FALSE",
        "app-myhost",
    ),
    (
        "lists on one line and on several",
        "datasrc-interface a\tb\ndatasrc-interface c",
        "app-myhost on a,b,c",
    ),
    (
        "a list in a variable",
        "define PORTS \"1 2\"\nadd-peer\nport ${PORTS} 3\nend-peer",
        "app-myhost\nlocalhost:1 at localhost:1,localhost:2,localhost:3",
    ),
    ("quoted values", r#"datasrc-name "a \"b\" \\ c" "#, r#"a "b" \ c"#),
    ("a hash inside a value", "datasrc-name a#b\ndatasrc-local-label \"# c\"", "a#b label # c"),
    ("an empty label", "datasrc-local-label x\ndatasrc-local-label \"\"", "app-myhost"),
    (
        "percents",
        "datasrc-name %a.%h.%r.%x.%\ndefine P %h\ndatasrc-local-label ${P}%",
        "app.myhost./opt/app.%x.% label myhost%",
    ),
    (
        "built-in variables",
        "datasrc-name ${APP_NAME}-${HOST_NAME}\ndatasrc-local-label ${HOME_DIR}${ccd}${ENV:A}",
        "app-myhost label /home/me/1",
    ),
    (
        "variables in names of variables and of items",
        "define LEG 2\ndefine HOST2 b\ndefine V.1_x HOST\ndatasrc-${I}id 1\ndefine I i\n\
         datasrc-${I}d 2\ndatasrc-name ${${V.1_x}${LEG}}",
        "b id 2",
    ),
    ("a brace that closes nothing", "datasrc-name a}b$c${ENV:A}}", "a}b$c1}"),
    (
        "a variable is what it was where it was used",
        "define A 1\ndatasrc-id ${A}\ndefine A 2\nundefine A\ndefine A 3\ndatasrc-port ${A}",
        "app-myhost id 1 port 3",
    ),
    (
        "conditions",
        "if \"${ENV:A}x\" != \"x\"\ndatasrc-id 1\nelse\ndatasrc-id 2\nendif\n\
         if ${ENV:NONE} == \"\" # none\ndatasrc-port 1\nendif # none\n\
         if \"a b\"==\"a b\"\nif \"${HOST_NAME}\" != myhost\ndatasrc-name x\nelse # not\n\
         datasrc-name y\nendif\nendif",
        "y id 1 port 1",
    ),
    (
        "what does not count is not looked at",
        "if a == b\ndatasrc-port x\ninclude-file none\nadd-peer\nend-x\ndefine\n${\n\"\n\
         if nonsense\nelse nonsense\nelif\nelse\nendif nonsense\ndefmacro\nelse\n\
         datasrc-id 1\nendif",
        "app-myhost id 1",
    ),
    (
        "conditions inside a group",
        "define LEG 1\nadd-peer\nif \"${LEG}\" == \"1\"\nport 1\nelse\nport 2\nendif\n\
         remote-name p\nend-peer",
        "app-myhost\np at localhost:1",
    ),
    (
        "groups of others, skipped whole",
        "add-data-service\n  service-name x\n  datasrc-port nonsense\n  add-source-group\n\
         required\n if \"x\" == \"x\"\n add-priority\n label a\n end-priority\n endif\n\
         include-file none\n add-peer\n port nonsense\n end-peer\n end-source-group\n\
         end-data-service # done\nadd-peer # one\nport 1\nadd-unknown\nport 2\nend-unknown\n\
         end-peer",
        "app-myhost\nlocalhost:1 at localhost:1",
    ),
    (
        "items that only look like groups",
        "add-field Bid 33001\nadd-apikey 0af \"ds-connect,x\"\nend-of-day 5\naddition\nend\nadd-x\n\
         end-x",
        "app-myhost",
    ),
    (
        "items of others, skipped",
        "log-level INFO \"\nhttp-port x\nheartbeat-time x\nrttp-log ${\nport y",
        "app-myhost",
    ),
    (
        "items of add-peer that mean nothing here",
        "add-peer\nport 1\nlocal-type active|contrib\nremote-type\nssl-cipherlist ${\n\
         websocket-path /x\nthread-name\nrequest-timeout y\nlocal-flags\nremote-flags\nssl FALSE\n\
         monitor-interval\nlocal-handshake-data a b\nend-peer",
        "app-myhost\nlocalhost:1 at localhost:1",
    ),
    (
        "globals after the peers they are defaults of",
        "add-peer\nport 1\nend-peer\ndatasrc-name late\ndatasrc-heartbeat-time 7",
        "late heartbeat 7s@5\nlocalhost:1 at localhost:1 heartbeat 7s@5",
    ),
    (
        "IPv6 addresses",
        "add-peer\naddr ::1 [fe80::1%eth0]\nport 1\nend-peer",
        "app-myhost\n[::1]:1 at [::1]:1,[fe80::1%eth0]:1",
    ),
    (
        "elseif, os and and",
        "define SITE b\nif \"${SITE}\" == \"a\"\ndatasrc-id 1\nelseif os win32\ndatasrc-id 2\n\
         elseif os \"linux\" and ${SITE} != a # b\ndatasrc-id 3\nelseif nonsense\ndatasrc-id 4\n\
         else\ndatasrc-id 5\nendif\nif a == b\nelseif a == b\nelse\ndatasrc-port 9\nendif",
        "app-myhost id 3 port 9",
    ),
    (
        "what a variable holds is cut, but not in quotes, comparisons and defines",
        "define L \"a  b\"\ndefine M ${L}\ndefine Q \"say \\\"x y\\\"\"\nadd-peer\naddr ${M}\nport 1\n\
         remote-name \"${Q} z\"\nend-peer\nif ${L} == \"a  b\"\ndatasrc-id 1\nendif\n\
         define ITEM \"datasrc-port 7\"\n${ITEM}\n${NONE} datasrc-local-label l",
        "app-myhost label l id 1 port 7\nsay \"x y\" z at a:1,b:1",
    ),
    (
        "percents count when all is read",
        "datasrc-name %a-%%-%u\ndefine L %a\ndatasrc-local-label ${L}\napplication-name late",
        "app-%-/home/me label app",
    ),
    ("all interfaces", "datasrc-interface a *", "app-myhost"),
    (
        "groups that start, and groups of others in which variables act",
        "start-ssl\ndatasrc-port 1\nend-ssl\nadd-x\ndefine A 1\nif a == a\ndefine B 2\nendif\n\
         define ${\nport x\nend-x\ndatasrc-id ${A}${B}",
        "app-myhost id 12",
    ),
    (
        "the old name of remote-label",
        "add-peer\nlabel l\nremote-id 7\nend-peer\nadd-peer\nremote-label \"\"\nlabel m\nend-peer",
        "app-myhost\nl old-label l id 7\nm old-label m",
    ),
    (
        "unset by 0 and by nothing",
        "add-peer\nremote-id 0\nremote-label \"\"\nport 1\nend-peer",
        "app-myhost\nlocalhost:1 at localhost:1",
    ),
];

#[test]
fn good_text_means_what_it_says() {
    for (about, text, expected) in GOOD {
        let config = Config::parse(text, &options());
        let config = config.unwrap_or_else(|errors| panic!("{about}: {errors}"));
        assert_eq!(&summary(&config), expected, "{about}");
    }
}

#[test]
fn a_clean_file_has_no_warnings() {
    let quiet = ["nothing", "every global item", "conditions", "groups of others, skipped whole"];
    for (about, text, _) in GOOD.iter().filter(|(about, ..)| quiet.contains(about)) {
        assert_eq!(warnings(&parse(text)), "", "{about}");
    }
}

#[test]
fn given_variables_win_over_those_of_the_file() {
    let defines = vec![("LEG".to_owned(), "2".to_owned()), ("N".to_owned(), "${LEG}".to_owned())];
    let options = options().defines(defines);
    let text = "define LEG 1\nundefine LEG\ndatasrc-id ${LEG}\ndatasrc-name ${N}";
    let config = Config::parse(text, &options).expect("good");
    assert_eq!((summary(&config), warnings(&config)), ("${LEG} id 2".to_owned(), String::new()));
}

#[test]
fn without_a_name_the_one_of_the_host_is_used() {
    let config = Config::parse("", &ConfigOptions::default()).expect("good");
    assert!(config.name().starts_with("peerbeat-") && config.name().len() > "peerbeat-".len());
    if let Ok(name) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        assert_eq!(config.name(), format!("peerbeat-{}", name.trim()));
    }
}

#[test]
fn variables_of_the_environment_are_the_processes_own_unless_given() {
    let text = "if \"${ENV:PATH}\" == \"\"\ndatasrc-id 1\nelse\ndatasrc-id 2\nendif";
    let config = Config::parse(text, &ConfigOptions::default()).expect("good");
    assert_eq!((config.id(), parse(text).id()), (2, 1));
}
