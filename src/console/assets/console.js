"use strict";

// Without this script every page works; with it, times are in the zone of the reader, and what is shown stays current.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const today = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const anyDay = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

// Times

function asTime(at) {
  return at.toDateString() === new Date().toDateString() ? today.format(at) : anyDay.format(at);
}

// Such as "in 4 min 10 s" or "2 d 3 h ago".
function asRelative(at) {
  const seconds = Math.round(Math.abs(at.getTime() - Date.now()) / 1000);
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = parts.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "now";
  let rest = seconds;
  const shown = parts.slice(first, first + 2).map(([unit, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count > 0 ? `${count} ${unit}` : "";
  });
  const text = shown.filter(Boolean).join(" ");
  return at.getTime() > Date.now() ? `in ${text}` : `${text} ago`;
}

function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const text = "relative" in time.dataset ? asRelative(at) : asTime(at);
    time.hidden = false;
    if (time.textContent !== text) time.textContent = text;
  }
  for (const label of root.querySelectorAll("text[data-time]")) label.textContent = hour.format(new Date(label.dataset.time));
}

// Forms have the times that people enter in the zone of the browser, and say so.
function nameZone(root) {
  for (const input of root.querySelectorAll("input[data-zone]")) input.value = zone;
  for (const name of root.querySelectorAll("[data-zone-name]")) name.textContent = zone;
}

function prepare(root) {
  showTimes(root);
  nameZone(root);
}

setInterval(() => {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("time[data-relative]")) showTimes(time.parentNode);
}, 1000);

// Parts of the page that stay current: <section data-live="topics" data-src="address" data-every="seconds">

// The shortest time between two reads of a part. A change is shown within a second.
const PAUSE = 500;

class LivePart {
  constructor(section) {
    this.section = section;
    this.topics = new Set(section.dataset.live.split(" "));
    this.every = Number(section.dataset.every || 0) * 1000;
    this.readAt = Date.now();
    this.timer = null;
    this.isReading = false;
    this.isDue = false;
  }

  // Reads the part again, at most twice a second.
  refresh() {
    this.isDue = true;
    if (this.timer || this.isReading) return;
    const wait = Math.max(0, this.readAt + PAUSE - Date.now());
    this.timer = setTimeout(() => {
      this.timer = null;
      this.read();
    }, wait);
  }

  async read() {
    // What somebody is writing is not replaced.
    if (document.hidden || this.section.querySelector("input:focus, select:focus, textarea:focus")) return;
    this.isReading = true;
    this.isDue = false;
    this.readAt = Date.now();
    try {
      const answer = await fetch(this.section.dataset.src, { credentials: "same-origin", cache: "no-store" });
      if (answer.status === 401) {
        location.reload();
      } else if (answer.ok) {
        this.replace(await answer.text());
      }
    } catch {
      // The connection of events says that the service cannot be reached.
    }
    this.isReading = false;
    if (this.isDue) this.refresh();
  }

  replace(html) {
    const parsed = new DOMParser().parseFromString(html, "text/html");
    const focused = this.section.contains(document.activeElement) ? nameOf(document.activeElement) : null;
    const open = new Set([...this.section.querySelectorAll("details[open][id]")].map((details) => details.id));
    const scrolled = [...this.section.querySelectorAll(".scroll")].map((region) => region.scrollLeft);
    prepare(parsed);
    this.section.replaceChildren(...parsed.body.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    this.section.querySelectorAll(".scroll").forEach((region, index) => {
      region.scrollLeft = scrolled[index] || 0;
    });
    if (focused) this.section.querySelector(focused)?.focus({ preventScroll: true });
  }

  isOld() {
    return this.every > 0 && Date.now() - this.readAt >= this.every;
  }
}

// How an element is found again after its part was replaced.
function nameOf(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const href = element.getAttribute("href");
  if (href) return `a[href="${CSS.escape(href)}"]`;
  const label = element.getAttribute("aria-label");
  return label ? `[aria-label="${CSS.escape(label)}"]` : null;
}

// The connection of events

const STATES = { on: "Live", off: "Reconnecting", paused: "Paused" };
const RECONNECT = [1000, 2000, 5000, 10000];

class Connection {
  constructor(parts, shown) {
    this.parts = parts;
    this.shown = shown;
    this.source = null;
    this.timer = null;
    this.failures = 0;
  }

  open() {
    if (this.source || document.hidden) return;
    clearTimeout(this.timer);
    const source = new EventSource("/console/events");
    this.source = source;
    source.addEventListener("open", () => {
      this.failures = 0;
      this.show("on");
      // What changed before is not announced again.
      this.parts.forEach((part) => part.refresh());
    });
    source.addEventListener("change", (event) => {
      const isAll = event.data === "all";
      this.parts.filter((part) => isAll || part.topics.has(event.data)).forEach((part) => part.refresh());
    });
    source.addEventListener("error", () => {
      this.close("off");
      this.timer = setTimeout(() => this.open(), RECONNECT[Math.min(this.failures, RECONNECT.length - 1)]);
      this.failures += 1;
      this.checkSession();
    });
  }

  close(state) {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
    this.show(state);
  }

  // An event source does not say why it failed: the session may have ended.
  async checkSession() {
    try {
      const answer = await fetch("/console/fragments/session", { credentials: "same-origin", cache: "no-store" });
      if (answer.status === 401) location.reload();
    } catch {
      // The service cannot be reached.
    }
  }

  show(state) {
    this.shown.hidden = false;
    this.shown.className = `live ${state}`;
    if (this.shown.textContent !== STATES[state]) this.shown.textContent = STATES[state];
  }
}

function follow() {
  const parts = [...document.querySelectorAll("[data-live]")].map((section) => new LivePart(section));
  const shown = document.getElementById("live");
  if (parts.length === 0 || !shown) return;
  const connection = new Connection(parts, shown);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) connection.close("paused");
    else connection.open();
  });
  addEventListener("pagehide", () => connection.close("paused"));
  addEventListener("pageshow", () => connection.open());
  document.addEventListener("focusout", () => parts.filter((part) => part.isDue).forEach((part) => part.refresh()));
  setInterval(() => {
    if (connection.source && !document.hidden) parts.filter((part) => part.isOld()).forEach((part) => part.refresh());
  }, PAUSE);
  connection.open();
}

prepare(document);
document.querySelector("[data-focus]")?.focus();
follow();
