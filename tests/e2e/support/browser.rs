//! A browser without a window: it keeps cookies, and sends forms as browsers do.

use std::collections::BTreeMap;
use std::sync::Mutex;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Response};

use crate::harness::{PATIENCE, plain_http};

/// What it shows.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub html: String,
}

impl Page {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Where it leads to.
    pub fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{self:?}");
        self.header("location").unwrap()
    }

    /// Whether it has the text, as HTML.
    pub fn has(&self, html: &str) -> bool {
        self.html.contains(html)
    }

    /// The value of the first hidden member of a form with this name.
    pub fn hidden(&self, name: &str) -> String {
        let before = format!("type=\"hidden\" name=\"{name}\" value=\"");
        let (_, rest) = self.html.split_once(&before).unwrap_or_else(|| panic!("no {name}: {self:?}"));
        rest.split('"').next().unwrap().to_owned()
    }
}

/// A stream of server-sent events.
pub struct Events {
    answer: Response,
    read: String,
}

impl Events {
    /// The next topic that has changed; none at the end of the stream.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let topic = event.strip_prefix("event: change\ndata: ").map(str::to_owned);
                self.read = String::from(rest);
                if topic.is_some() {
                    return topic;
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("no event").ok()??;
            self.read.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    /// Returns once this topic has changed.
    pub async fn wait_for(&mut self, topic: &str) {
        while self.next().await.expect("the stream has ended") != topic {}
    }
}

/// A browser that follows no redirect by itself.
pub struct Browser {
    http: Client,
    pub base_url: String,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    pub fn new(base_url: &str) -> Self {
        let http = plain_http().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, base_url: base_url.to_owned(), cookies: Mutex::default() }
    }

    /// Signed in with this key.
    pub async fn signed_in(base_url: &str, key: &str) -> Self {
        let browser = Self::new(base_url);
        assert_eq!(browser.post("/console/sign-in", &[("key", key)]).await.location(), "/console");
        browser
    }

    /// The same cookies at another replica.
    pub fn at(&self, base_url: &str) -> Self {
        let cookies = self.cookies.lock().unwrap().clone();
        Self { http: self.http.clone(), base_url: base_url.to_owned(), cookies: cookies.into() }
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies = self.cookies.lock().unwrap();
        let cookies: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.http.request(method, format!("{}{path}", self.base_url));
        if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) }
    }

    pub async fn get(&self, path: &str) -> Page {
        self.page(self.request(Method::GET, path)).await
    }

    /// Sends a form.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let request = self.request(Method::POST, path).header("sec-fetch-site", "same-origin");
        self.page(request.form(form)).await
    }

    /// Sends a form, and shows the page that it leads to.
    pub async fn submit(&self, path: &str, form: &[(&str, &str)]) -> Page {
        self.get(self.post(path, form).await.location()).await
    }

    pub async fn page(&self, request: RequestBuilder) -> Page {
        let answer = request.send().await.unwrap();
        self.keep_cookies(&answer);
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Page { status, headers, html: answer.text().await.unwrap() }
    }

    /// The events of what changes.
    pub async fn events(&self) -> Events {
        let request = self.request(Method::GET, "/console/events").header("accept-encoding", "gzip");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert!(!answer.headers().contains_key("content-encoding"));
        Events { answer, read: String::new() }
    }

    fn keep_cookies(&self, answer: &Response) {
        let mut cookies = self.cookies.lock().unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
