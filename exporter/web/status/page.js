// Keeps the page as the exporter would give it now: it is fetched again every few seconds, and only what differs is
// exchanged, so that focus, selection, scrolling and open details stay. Without this script a reload does the same.
"use strict";

const EVERY = 3000, PATIENCE = 10000;
const live = document.getElementById("live"), button = document.getElementById("pause");
let timer = 0, paused = false, running = false;

function say(text, lost) {
  if (live.textContent !== text) live.textContent = text;
  live.classList.toggle("lost", lost);
}

function alike(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && (old.id || "") === (fresh.id || "");
}

function attributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function children(old, fresh) {
  const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  const wanted = new Set([...fresh.children].map((child) => child.id));
  let at = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    while (at && at.id && !wanted.has(at.id)) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
    const twin = known.get(node.id);
    if (twin && twin !== at) {
      old.insertBefore(twin, at);
      morph(twin, node);
    } else if (at && alike(at, node)) {
      const next = at.nextSibling;
      morph(at, node);
      at = next;
    } else {
      old.insertBefore(document.importNode(node, true), at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function morph(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
  } else if (!old.hasAttribute("data-keep")) {
    attributes(old, fresh);
    children(old, fresh);
  }
}

async function update() {
  running = true;
  try {
    const response = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    const main = fresh.getElementById("main");
    if (!main) throw new Error(`HTTP ${response.status}`);
    if (!paused) {
      const focus = document.activeElement;
      if (document.title !== fresh.title) document.title = fresh.title;
      morph(document.getElementById("main"), main);
      // A row that moved has lost it.
      if (focus !== document.activeElement && focus.isConnected) focus.focus({ preventScroll: true });
      say(`live, every ${EVERY / 1000} s`, false);
    }
  } catch {
    if (!paused) say("no answer from the exporter: what stands here is old", true);
  } finally {
    running = false;
    plan();
  }
}

function plan() {
  clearTimeout(timer);
  if (!paused && !document.hidden && !running) timer = setTimeout(update, EVERY);
}

if (live && button) {
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume updates" : "Pause updates";
    say(paused ? "paused" : `live, every ${EVERY / 1000} s`, false);
    if (!paused && !running) update();
    plan();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !paused && !running) update();
    plan();
  });
  say(`live, every ${EVERY / 1000} s`, false);
  plan();
}
