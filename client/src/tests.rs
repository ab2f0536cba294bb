//! Against listeners that answer what a gateway would not.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use zkinfer_crds::Digest;
use zkinfer_crds::calls::work;

use super::*;

/// Answers each call with this, before it has read the body, and closes.
async fn answering(answer: String) -> Gateway {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut call, _)) = listener.accept().await {
            let _ = call.read(&mut [0; 4096]).await;
            let _ = call.write_all(answer.as_bytes()).await;
        }
    });
    Gateway::new(&address).unwrap()
}

fn problem(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn fetch(gateway: &Gateway) -> Calling<work::Fetch> {
    gateway.call(&Digest::of(b""), "token")
}

#[tokio::test]
async fn an_answer_that_does_not_say_how_long_it_is_is_read_to_the_limit_only() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let gateway = answering(format!("{head}{}0\r\n\r\n", "a\r\n0123456789\r\n".repeat(2))).await;
    let answer = fetch(&gateway).send().await.unwrap();
    assert_eq!(answer.at_most(20).await.unwrap().len(), 20);
    let answer = fetch(&gateway).send().await.unwrap();
    let error = answer.at_most(19).await.unwrap_err();
    assert!(error.to_string().contains("more than 19 bytes"), "{error}");
    assert!(!error.may_pass());
}

#[tokio::test]
async fn an_answer_that_says_that_it_is_too_long_is_not_read() {
    let gateway = answering("HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n".to_owned()).await;
    let answer = fetch(&gateway).send().await.unwrap();
    assert!(answer.at_most(20).await.is_err());
}

#[tokio::test]
async fn an_error_says_what_the_gateway_said() {
    let said = r#"{"reason":"NotFound","message":"no such blob"}"#;
    let gateway = answering(problem("404 Not Found", said)).await;
    let error = fetch(&gateway).send().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the gateway answered 404: NotFound: no such blob"
    );
    assert!(!error.may_pass());
    let gateway = answering(problem(
        "403 Forbidden",
        r#"{"reason":"Forbidden","message":"no"}"#,
    ))
    .await;
    assert!(matches!(
        fetch(&gateway).send().await,
        Err(CallError::Forbidden { status: 403, said }) if said == "Forbidden: no"
    ));
    // Something that stands between may say nothing, or much.
    let gateway = answering(problem("503 Service Unavailable", "")).await;
    let error = fetch(&gateway).send().await.unwrap_err();
    assert!(error.may_pass() && error.to_string().ends_with("503: 503 Service Unavailable"));
    let gateway = answering(problem("502 Bad Gateway", &"x".repeat(5000))).await;
    let error = fetch(&gateway).send().await.unwrap_err();
    assert!(error.may_pass() && error.to_string().len() < 300, "{error}");
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let away =
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n";
    let gateway = answering(away.to_owned()).await;
    let error = fetch(&gateway).send().await.unwrap_err();
    assert_eq!(error.status(), Some(307));
}

#[tokio::test]
async fn a_gateway_that_is_not_there_may_be_there_later() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = fetch(&Gateway::new(&address).unwrap()).send().await.unwrap_err();
    assert!(error.may_pass(), "{error}");
    // And it is said why.
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn what_is_no_url_is_refused() {
    assert!(matches!(
        Gateway::new("gateway"),
        Err(AddressError::NotAUrl(said)) if said == "gateway"
    ));
}

#[test]
fn a_token_in_a_file_is_read_each_time_and_never_shown() {
    let path = std::env::temp_dir().join(format!("zkinfer-token-{}", std::process::id()));
    let token = Token::File(path.clone());
    assert!(token.now().is_err());
    std::fs::write(&path, "one\n").unwrap();
    assert_eq!(token.now().unwrap(), "one");
    std::fs::write(&path, "two\n").unwrap();
    assert_eq!(token.now().unwrap(), "two");
    std::fs::remove_file(path).unwrap();
    assert!(!format!("{:?}", Token::Fixed("secret".to_owned())).contains("secret"));
}
