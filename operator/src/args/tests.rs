//! What is refused by name, and what lists are made of.

use std::time::Duration;

use zkinfer_operator::client::StudioOptions;

use super::*;

fn submit(more: &[&str]) -> Result<Args, String> {
    let line = ["operator", "submit", "m.onnx", "--input", "x.npy"];
    let matches = Args::command().try_get_matches_from(line.iter().chain(more));
    matches.and_then(Args::of).map_err(|e| e.to_string())
}

#[test]
fn what_is_for_local_mode_is_refused_on_a_cluster_by_name() {
    for (flag, value) in [
        ("--state", Some("dir")),
        ("--srs", Some("file")),
        ("--worker", Some("program")),
        ("--prover", Some("a=b")),
        ("--least-lease", Some("30")),
        ("--max-error", Some("0.1")),
        ("--allow-dev-srs", None),
        ("--serve", None),
        ("--web", None),
    ] {
        let more: Vec<&str> = [flag].into_iter().chain(value).collect();
        let error = submit(&more).unwrap_err();
        assert!(error.contains(flag) && error.contains("--local"), "{error}");
        let local: Vec<&str> = more.into_iter().chain(["--local"]).collect();
        submit(&local).unwrap();
    }
    submit(&["--wait", "--quiet", "-n", "here", "-o", "yaml"]).unwrap();
}

#[test]
fn several_inputs_and_how_many_are_answered_at_once_are_read_in_their_order() {
    let read = |more: &[&str]| match submit(more)?.command {
        Command::Submit {
            input, batch_sizes, ..
        } => Ok((input, batch_sizes)),
        _ => Err("another command".to_owned()),
    };
    let (input, sizes) = read(&["--input", "y.npy", "--batch-sizes=1,4"]).unwrap();
    assert_eq!(input, [PathBuf::from("x.npy"), PathBuf::from("y.npy")]);
    assert_eq!(sizes, [1, 4]);
    for wrong in ["--batch-sizes=0", "--batch-sizes=65", "--batch-sizes=a"] {
        assert!(read(&[wrong]).is_err(), "{wrong}");
    }
}

#[test]
fn the_namespaces_to_watch_are_names_and_an_empty_list_is_not_all_of_them() {
    let run = |more: &[&str]| {
        let line = [
            "operator",
            "run",
            "--artifacts=file:///a",
            "--gateway-url=http://g",
            "--compiler-image=i",
        ];
        let matches = Args::command().try_get_matches_from(line.iter().chain(more));
        let Command::Run(run) = matches.and_then(Args::of).map_err(|e| e.to_string())?.command else {
            panic!("another command");
        };
        Ok::<_, String>(run.options()?.settings.namespaces)
    };
    assert_eq!(run(&[]).unwrap(), Vec::<String>::new());
    assert_eq!(
        run(&["--namespaces=a,b", "--namespaces=c"]).unwrap(),
        ["a", "b", "c"]
    );
    // They are the Validator's.
    for moved in [
        "--network=a",
        "--max-error=0.1",
        "--least-lease=3",
        "--compiler-memory=1Gi",
    ] {
        assert!(run(&[moved]).is_err(), "{moved}");
    }
    for bad in ["", "a,", "*", "a b", "A"] {
        let error = run(&[&format!("--namespaces={bad}")]).unwrap_err();
        assert!(error.contains("--namespaces"), "{error}");
    }
}

#[test]
fn who_may_serve_is_a_namespace_or_a_miner_in_one() {
    let identity = format!("ed25519:{}", "1".repeat(64));
    let both = format!("--served-by=beta={identity}");
    let Command::Submit { served_by, .. } = submit(&["--served-by=alpha", &both]).unwrap().command else {
        panic!("another command");
    };
    let of = |s: &ServedBy| (s.namespace.clone(), s.identity.map(|i| i.to_string()));
    let all: Vec<_> = served_by.iter().map(of).collect();
    assert_eq!(
        all,
        [("alpha".to_owned(), None), ("beta".to_owned(), Some(identity))]
    );
    for bad in [
        "--served-by=*",
        "--served-by=",
        "--served-by=a=b",
        "--served-by=a\nb",
    ] {
        submit(&[bad]).unwrap_err();
    }
    submit(&["--served-by=a", "--local"]).unwrap_err();
}

#[test]
fn a_check_is_of_something_and_its_pools_are_named_in_full() {
    let check = |more: &[&str]| {
        let line = ["operator", "check"];
        let matches = Args::command().try_get_matches_from(line.iter().chain(more));
        let Command::Check(args) = matches.and_then(Args::of).map_err(|e| e.to_string())?.command else {
            panic!("another command");
        };
        Ok::<_, String>(zkinfer_operator::client::CheckOptions::from(args))
    };
    let options = check(&["--pool=a/x,b/y", "--pool", "c/z", "--seconds=5"]).unwrap();
    let pools: Vec<String> = options.pools.iter().map(ToString::to_string).collect();
    assert_eq!(pools, ["MinerPool a/x", "MinerPool b/y", "MinerPool c/z"]);
    assert_eq!(
        (options.patience, options.gateway),
        (Duration::from_secs(5), None)
    );
    check(&["--gateway=http://g"]).unwrap();
    for (bad, words) in [
        (&[][..], "--health"),
        (&["--seconds=5"], "--health"),
        (&["--pool=alpha"], "NAMESPACE/NAME"),
        (&["--pool="], "NAMESPACE/NAME"),
        (&["--pool=a/b", "--seconds=4000"], "--seconds"),
    ] {
        let error = check(bad).unwrap_err();
        assert!(error.contains(words), "{bad:?}: {error}");
    }
}

#[test]
fn the_web_app_of_local_mode_is_at_an_address_of_this_machine_and_none_is_taken_for_it_that_is_not() {
    let local = |more: &[&str]| {
        let line = ["operator", "local", "-f", "a.yaml"];
        let matches = Args::command().try_get_matches_from(line.iter().chain(more));
        let Command::Local { local, .. } = matches.and_then(Args::of).map_err(|e| e.to_string())?.command
        else {
            panic!("another command");
        };
        Ok::<_, String>(local.web.map(|address| address.to_string()))
    };
    assert_eq!(local(&[]).unwrap(), None);
    assert_eq!(local(&["--web"]).unwrap().as_deref(), Some("127.0.0.1:0"));
    assert_eq!(
        local(&["--web=[::1]:4000"]).unwrap().as_deref(),
        Some("[::1]:4000")
    );
    for bad in [
        "--web=0.0.0.0:4000",
        "--web=10.0.0.1:4000",
        "--web=4000",
        "--web=localhost",
        "--web=",
    ] {
        let error = local(&[bad]).unwrap_err();
        assert!(error.contains("--web"), "{bad}: {error}");
    }
}

#[test]
fn the_studio_is_asked_for_under_either_name_and_is_at_an_address_of_this_machine() {
    let studio = |line: &[&str]| {
        let matches = Args::command().try_get_matches_from(line);
        let Command::Studio(args) = matches.and_then(Args::of).map_err(|e| e.to_string())?.command else {
            panic!("another command");
        };
        Ok::<_, String>(StudioOptions::from(args))
    };
    let options = studio(&["kubectl-zkinfer", "studio", "-n", "team-a"]).unwrap();
    assert_eq!(options.cluster.namespace.as_deref(), Some("team-a"));
    assert_eq!(options.address.to_string(), "127.0.0.1:0");
    assert!(studio(&["operator", "studio", "-A"]).unwrap().all_namespaces);
    for bad in [&["--address=0.0.0.0:80"][..], &["-A", "-n", "x"]] {
        let line = ["operator", "studio"]
            .iter()
            .chain(bad)
            .copied()
            .collect::<Vec<_>>();
        assert!(studio(&line).is_err(), "{bad:?}");
    }
}

#[test]
fn local_mode_needs_files_unless_it_stays() {
    let local = |more: &[&str]| {
        let line = ["operator", "local"];
        let matches = Args::command().try_get_matches_from(line.iter().chain(more));
        matches.and_then(Args::of).is_ok()
    };
    assert!(local(&["--web"]) && local(&["--serve"]) && local(&["-f", "a.yaml"]));
    assert!(!local(&[]));
}
