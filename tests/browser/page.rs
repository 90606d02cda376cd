//! What a person does and sees in the browser.

use serde_json::{Value, json};
use thirtyfour::{By, WebDriver, WebElement};
use tokio::sync::{Mutex, MutexGuard};

use crate::driver::driver;
use crate::support::eventually;

/// The attribute of the element that was looked for.
const FOUND: &str = "data-found-by-test";

/// The colours that the person prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Self; 2] = [Self::Light, Self::Dark];

    pub fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// The size of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    Desktop,
    Phone,
}

impl Screen {
    pub const ALL: [Self; 2] = [Self::Desktop, Self::Phone];

    /// In pixels.
    fn size(self) -> (u32, u32) {
        match self {
            Self::Desktop => (1280, 900),
            Self::Phone => (375, 812),
        }
    }
}

/// The browser's page, for one test at a time.
pub struct Page {
    pub web: WebDriver,
    _turn: MutexGuard<'static, ()>,
}

impl Page {
    /// An empty page, without cookies, on a desktop in light colours. Waits for the turn of this test.
    pub async fn open() -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let page = Self { web: driver().await.web.clone(), _turn: turn };
        page.web.goto("about:blank").await.unwrap();
        page.cdp("Network.clearBrowserCookies", json!({})).await;
        page.show(Screen::Desktop, Theme::Light).await;
        // What an earlier test has left.
        page.web.browser_log().await.unwrap();
        page
    }

    pub async fn cdp(&self, method: &str, parameters: Value) -> Value {
        self.web.cdp().send_raw(method, parameters).await.unwrap()
    }

    pub async fn visit(&self, url: &str) {
        self.web.goto(url.to_owned()).await.unwrap();
    }

    /// The path and query of the address.
    pub async fn address(&self) -> String {
        let url = self.web.current_url().await.unwrap();
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// Returns when the address has this path.
    pub async fn arrives_at(&self, path: &str) {
        eventually(&format!("the page {path}"), async || {
            let address = self.address().await;
            if address.split('?').next() == Some(path) { Ok(()) } else { Err(address) }
        })
        .await;
    }

    /// Signs in with an API key, and returns when the overview is there.
    pub async fn sign_in(&self, base_url: &str, key: &str) {
        self.visit(&format!("{base_url}/console/sign-in")).await;
        self.fill("API key", key).await;
        self.click("button", "Sign in").await;
        self.arrives_at("/console").await;
    }

    /// The elements with this role and accessible name, as a screen reader has them.
    async fn named(&self, role: &str, name: &str) -> Vec<i64> {
        let document = self.cdp("DOM.getDocument", json!({"depth": 0})).await;
        let query = json!({"nodeId": document["root"]["nodeId"], "role": role, "accessibleName": name});
        let found = self.web.cdp().send_raw("Accessibility.queryAXTree", query).await;
        // A page that is being replaced has none.
        let nodes = found.ok().and_then(|found| found["nodes"].as_array().cloned()).unwrap_or_default();
        let visible = nodes.iter().filter(|node| node["ignored"] != true);
        visible.filter_map(|node| node["backendDOMNodeId"].as_i64()).collect()
    }

    /// Whether there is an element with this role and accessible name.
    pub async fn has(&self, role: &str, name: &str) -> bool {
        !self.named(role, name).await.is_empty()
    }

    /// The first element with this role and accessible name, once it is there.
    pub async fn find(&self, role: &str, name: &str) -> WebElement {
        eventually(&format!("the {role} {name:?}"), async || {
            let [first, ..] = self.named(role, name).await[..] else { return Err(self.text().await) };
            let found = self.web.cdp().send_raw("DOM.resolveNode", json!({"backendNodeId": first})).await;
            let node = found.map_err(|error| error.to_string())?;
            let mark = format!(
                "function() {{ document.querySelector('[{FOUND}]')?.removeAttribute('{FOUND}'); this.setAttribute('{FOUND}', ''); }}"
            );
            let call = json!({"objectId": node["object"]["objectId"], "functionDeclaration": mark});
            self.web.cdp().send_raw("Runtime.callFunctionOn", call).await.map_err(|error| error.to_string())?;
            self.web.find(By::Css(format!("[{FOUND}]"))).await.map_err(|error| error.to_string())
        })
        .await
    }

    /// Clicks the first element with this role and accessible name.
    pub async fn click(&self, role: &str, name: &str) {
        self.find(role, name).await.click().await.unwrap();
    }

    /// Clicks the first element that this CSS selector finds.
    pub async fn click_at(&self, selector: &str) {
        eventually(selector, async || {
            let element = self.web.find(By::Css(selector)).await.map_err(|error| error.to_string())?;
            element.click().await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Chooses from the list with this label.
    pub async fn choose(&self, label: &str, text: &str) {
        self.find("combobox", label).await.send_keys(text).await.unwrap();
    }

    /// Replaces the text of the field with this label.
    pub async fn fill(&self, label: &str, text: &str) {
        let field = self.find("textbox", label).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// The text that is seen.
    pub async fn text(&self) -> String {
        match self.web.find(By::Tag("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Returns when this text is seen.
    pub async fn shows(&self, text: &str) {
        eventually(&format!("the text {text:?}"), async || {
            let seen = self.text().await;
            if seen.contains(text) { Ok(()) } else { Err(seen) }
        })
        .await;
    }

    /// The result of a script, which returns it.
    pub async fn script(&self, script: &str) -> Value {
        self.web.execute(script.to_owned(), Vec::new()).await.unwrap().json().clone()
    }

    /// The status and the text of a request that a script of the page sends, with the session.
    pub async fn fetched(&self, address: &str, method: &str, form: &str) -> Value {
        let script = "const [address, method, form, done] = arguments;
            const body = form ? new URLSearchParams(form) : undefined;
            fetch(address, { method, body }).then(async (answer) => done({ status: answer.status, text: await answer.text() }));";
        self.web.execute_async(script, vec![json!(address), json!(method), json!(form)]).await.unwrap().json().clone()
    }

    /// Sets the size of the window and the colours.
    pub async fn show(&self, screen: Screen, theme: Theme) {
        let (width, height) = screen.size();
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": screen == Screen::Phone});
        self.cdp("Emulation.setDeviceMetricsOverride", size).await;
        let colours = json!([{"name": "prefers-color-scheme", "value": theme.name()}]);
        self.cdp("Emulation.setEmulatedMedia", json!({"features": colours})).await;
    }

    /// Fails if the page is wider than the window: tables scroll in a region of their own.
    pub async fn assert_fits(&self) {
        let widths =
            self.script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]").await;
        assert!(
            widths[0].as_i64() <= widths[1].as_i64(),
            "{} is wider than the window: {widths}",
            self.address().await
        );
    }

    /// Fails if the browser refused something because of the content security policy, or a script failed.
    pub async fn assert_nothing_was_refused(&self) {
        let log = self.web.browser_log().await.unwrap();
        // An answer such as 403 or 422 is an entry too.
        let is_answer = |source: &Option<String>| source.as_deref() == Some("network");
        let faults: Vec<_> =
            log.into_iter().filter(|entry| entry.level == "SEVERE" && !is_answer(&entry.source)).collect();
        assert!(faults.is_empty(), "the browser's log has faults: {faults:#?}");
    }
}
