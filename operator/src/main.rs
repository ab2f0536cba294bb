//! `operator`: this file parses and calls.

mod args;

use std::process::ExitCode;
use std::time::Duration;

use zkinfer_crds::dimensions::dimensions;
use zkinfer_operator::client::{
    self, ClientError, ClusterSubmit, EraseOptions, ProveOptions, ReceiptOptions, ReportOptions,
    UploadOptions,
};
use zkinfer_operator::cluster;
use zkinfer_operator::local::{self, Format, Objects, Options, Outcome, SubmitOptions};
use zkinfer_operator::logging::{self, LogFormat};

use crate::args::{Args, Command, IdentityCommand, LocalArgs};

/// Models of 100 MiB come and go: what is freed goes back to the system, so that an operator's memory is what it holds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit codes: see the commands' help.
const FAILED: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args = Args::read();
    match &args.command {
        Command::Run(run) => logging::start(run.log_format, true),
        _ => logging::start(LogFormat::Text, false),
    }
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn run(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match args.command {
        Command::Local { filename, local } => run_local(Objects::read(&filename)?, local),
        Command::Run(args) => {
            runtime()?.block_on(cluster::run(args.options()?))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Receipt {
            name,
            out,
            files,
            cluster,
            access,
        } => {
            let options = ReceiptOptions {
                name,
                out,
                files,
                cluster: cluster.into(),
                access: access.into(),
            };
            let digest = runtime()?.block_on(client::receipt(&options));
            Ok(told(
                digest.map(|digest| format!("{digest} in {}", options.out.display())),
            ))
        }
        Command::Erase { name, cluster } => {
            let options = EraseOptions {
                name,
                cluster: cluster.into(),
            };
            let erased = runtime()?.block_on(client::erase(&options));
            Ok(told(erased.map(|name| format!("{name} erased"))))
        }
        Command::Upload {
            file,
            cluster,
            access,
        } => {
            let options = UploadOptions {
                file,
                cluster: cluster.into(),
                access: access.into(),
            };
            let digest = runtime()?.block_on(client::upload(&options));
            Ok(told(digest.map(|digest| digest.to_string())))
        }
        Command::Submit {
            model,
            input,
            local,
            wait,
            cluster,
            calibration,
            classes,
            proof_system,
            parallelism,
            error_budget,
            output_scale,
            no_top1,
            bind,
            batch_sizes,
            served_by,
            controller_class,
            options,
        } => {
            let submit = SubmitOptions {
                model,
                inputs: input,
                calibration,
                classes,
                proof_system,
                parallelism,
                error_budget,
                output_scale,
                compare_top1: !no_top1,
                dimensions: dimensions(&bind)?,
                batch_sizes,
                served_by,
            };
            if local {
                return run_local(local::submit_objects(&submit)?, options);
            }
            let submit = ClusterSubmit {
                what: submit,
                cluster: cluster.into(),
                class: controller_class,
                wait,
                quiet: options.quiet,
            };
            let submitted = match runtime()?.block_on(client::submit(&submit)) {
                Err(error @ ClientError::Unfollowed(_)) => return Ok(told(Err(error))),
                submitted => submitted?,
            };
            match options.output {
                Format::Yaml => print!("{}", serde_yaml::to_string(&submitted.request)?),
                Format::Json => println!("{:#}", serde_json::to_value(&submitted.request)?),
                Format::Text => match submitted.answer {
                    Some(answer) => print!("{answer}"),
                    None => println!("{}", kube::ResourceExt::name_any(&submitted.request)),
                },
            }
            Ok(match submitted.failure {
                Some(why) => {
                    eprintln!("error: {why}");
                    ExitCode::from(FAILED)
                }
                None => ExitCode::SUCCESS,
            })
        }
        Command::Studio(args) => {
            let tell = |address: &str| println!("studio: {address}");
            let served = runtime()?.block_on(client::studio(args.into(), tell));
            Ok(match served {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("error: {error}");
                    ExitCode::from(FAILED)
                }
            })
        }
        Command::Identity(IdentityCommand::New { key }) => Ok(told(printed(client::new_identity(&key)))),
        Command::Identity(IdentityCommand::Show { key }) => Ok(told(printed(client::show_identity(&key)))),
        Command::Identity(IdentityCommand::Prove {
            pool,
            key,
            uid,
            cluster,
        }) => {
            let options = ProveOptions {
                pool,
                key,
                uid,
                cluster: cluster.into(),
            };
            Ok(told(runtime()?.block_on(client::prove_identity(&options))))
        }
        Command::Check(args) => {
            let all = runtime()?.block_on(client::check(&args.into()))?;
            for checked in &all {
                println!("{checked}");
            }
            Ok(if all.iter().all(|checked| checked.found.is_ok()) {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(FAILED)
            })
        }
        Command::Report(args) => {
            let options: ReportOptions = args.into();
            let reported = runtime()?.block_on(client::report(&options))?;
            println!("{} files in {}", reported.files, options.out.display());
            for missing in &reported.missing {
                eprintln!("not read: {missing}");
            }
            Ok(if reported.missing.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(FAILED)
            })
        }
        Command::Crds { dir } => {
            for (name, yaml) in zkinfer_crds::k8s::crd_yaml()? {
                match &dir {
                    Some(dir) => {
                        std::fs::create_dir_all(dir).and_then(|()| std::fs::write(dir.join(name), yaml))?
                    }
                    None => print!("{yaml}"),
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn printed(identity: Result<zkinfer_crds::Identity, ClientError>) -> Result<String, ClientError> {
    identity.map(|identity| identity.to_string())
}

/// Prints a line, or why there is none.
fn told(result: Result<String, ClientError>) -> ExitCode {
    match result {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn run_local(objects: Objects, args: LocalArgs) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let LocalArgs {
        output,
        allow_dev_srs,
        srs,
        state,
        worker,
        prover,
        least_lease,
        max_error,
        quiet,
        serve,
        otlp_endpoint,
        web,
    } = args;
    let options = Options {
        state,
        worker,
        provers: prover,
        srs,
        allow_dev_srs,
        least_lease: Duration::from_secs(least_lease),
        max_error,
        quiet,
        serve,
        otlp_endpoint,
        web,
    };
    let tell = |outcome: &Outcome| {
        print!("{}", local::render(&outcome.objects, output, &outcome.worker));
        for why in local::failures(&outcome.objects) {
            eprintln!("error: {why}");
        }
    };
    let outcome = runtime()?.block_on(local::run(objects, &options, tell))?;
    Ok(if outcome.succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}
