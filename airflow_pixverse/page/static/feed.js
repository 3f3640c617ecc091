/*
 * The answers of the server about capacity: polled, with warnings made from them, and with a history of free slots.
 */

// The version, so that a new one is not taken from the cache.
const { search } = new URL(import.meta.url);
const { capitalized, count, duration } = await import(new URL(`words.js${search}`, import.meta.url));

const POLL_MS = 5_000;
const SLOWEST_POLL_MS = 30_000;
const TIMEOUT_MS = 20_000;
const TYPING_MS = 250;
const ROWS = 50;
const LIMITS = { waits: ROWS, jobs: ROWS, batches: ROWS };
export const MORE_ROWS = 200;
export const MAX_ROWS = 1_000; // of the server
const MAX_RUNS = 600;

// Warnings

const PROBLEMS = {
  connection: { title: "The connection cannot be used", toConnections: true },
  token: { title: "PixVerse refuses the API token", toConnections: true },
  refused: { title: "PixVerse refuses the request" },
  busy: { title: "PixVerse gets too many requests" },
  service: { title: "PixVerse answers with an error" },
  network: { title: "PixVerse does not answer" },
  page: { title: "This page could not poll PixVerse" },
};

// The share of the places in the triggerers from which on a warning is due.
const NEAR = 0.8;

/** Return the warnings of an answer, the worst first. */
function warningsOf({ now, problem, capacity, waits, triggerers, triggers, places }) {
  const found = [];
  if (problem) {
    const seconds = now - problem.since;
    const text = [problem.message];
    if (seconds >= 1) text.push(`It began ${duration(seconds)} ago.`);
    if (capacity) text.push("Below is its last answer.");
    if (problem.retry_at > now) text.push(`The next poll follows in ${duration(problem.retry_at - now)}.`);
    const tone = capacity || seconds > 5 ? "error" : "info";
    found.push({ id: "problem", tone, text: text.join(" "), ...(PROBLEMS[problem.kind] ?? PROBLEMS.service) });
  }
  if (triggerers === 0 && waits.total > 0) {
    found.push({ id: "triggerer", tone: "error", title: "No triggerer is alive",
      text: "Deferred tasks wait, but nothing looks for slots for them. Start one: airflow triggerer" });
  }
  if (triggerers > 0 && triggers >= NEAR * places) {
    found.push({ id: "places", tone: "warning",
      title: `${triggers} triggers share ${places} places in the triggerer${triggerers > 1 ? "s" : ""}`,
      text: "Beyond that, slots stay free and results are collected late. " +
        "Raise [triggerer] capacity, or start another triggerer: airflow triggerer" });
  }
  for (const { email, error } of capacity?.accounts ?? []) {
    if (!error) continue;
    found.push({ id: `account ${email}`, tone: "warning",
      title: `The account ${email ?? "of unknown name"} is in error`,
      text: `${capitalized(error)}. It takes no jobs until that is fixed at PixVerse or useapi.net.` });
  }
  if (waits.too_large.length) {
    found.push({ id: "large", tone: "warning", title: "Some tasks ask for more slots than there are",
      text: "They block no other task, and time out unless slots are added. Ask for fewer, or for other accounts:",
      tasks: waits.too_large.slice(0, 5) });
  }
  if (triggerers > 1) {
    found.push({ id: "queues", tone: "info",
      title: `${triggerers} triggerers are alive, and each has a queue of its own`,
      text: "A task is served in the order of its own triggerer, so the places below may be off by a few." });
  }
  return found;
}

// Free slots since the page was opened

/** A step function of time, as runs of equal values, with gaps where the page did not poll. */
class History {
  #runs = [];

  add(at, free) {
    const last = this.#runs.at(-1);
    if (last && at <= last.to) return;
    const follows = last && at - last.to < 4 * SLOWEST_POLL_MS;
    if (follows) last.to = at;
    if (!follows || last.free !== free) this.#runs.push({ from: at, to: at, free });
    if (this.#runs.length > MAX_RUNS) this.#runs.shift();
  }

  /** Return SVG paths in a box of 100 times 100, and the same in words. */
  draw(now, total) {
    const runs = this.#runs;
    if (!runs.length) return { words: "No data yet" };
    const span = Math.max(60_000, now - runs[0].from);
    const values = runs.map((run) => run.free);
    const top = Math.max(total, ...values, 1);
    const x = (at) => (100 - ((now - at) / span) * 100).toFixed(2);
    const y = (free) => (96 - (free / top) * 92).toFixed(2);
    let [line, area] = ["", ""];
    runs.forEach((run, i) => {
      const to = i === runs.length - 1 && now - run.to < 4 * SLOWEST_POLL_MS ? now : run.to;
      const follows = i > 0 && runs[i - 1].to === run.from;
      line += `${follows ? "L" : "M"}${x(run.from)},${y(run.free)}H${x(to)}`;
      area += `M${x(run.from)},96V${y(run.free)}H${x(to)}V96Z`;
    });
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const range = least === most ? least : `between ${least} and ${most}`;
    return { line, area, span, words: `${range} in ${duration((now - runs[0].from) / 1000)}, now ${values.at(-1)}` };
  }
}

// Polling

/** The answers of the server. It stays while the user visits other pages of Airflow, and polls while it is shown. */
class Feed {
  answer = null; // the last one
  warnings = [];
  failed = false; // Airflow gave no answer to the last request
  busy = true; // no answer yet about the chosen connection
  status = ""; // for a screen reader
  find = "";
  limits = { ...LIMITS };
  #connection = null;
  #histories = new Map();
  #skew = 0;
  #failures = 0;
  #spoken = null;
  #timer = null;
  #request = null;
  #changed;

  /** Poll while the tab is visible, and return a function that stops it. */
  start(changed) {
    this.#changed = changed;
    const onVisibility = () => (document.hidden ? this.#pause() : this.#poll());
    document.addEventListener("visibilitychange", onVisibility);
    onVisibility();
    return () => {
      document.removeEventListener("visibilitychange", onVisibility);
      this.#pause();
    };
  }

  /** The time by the server's clock, in seconds. */
  get now() {
    return (Date.now() + this.#skew) / 1000;
  }

  get connection() {
    return this.busy ? this.#connection : this.answer.connection;
  }

  get trend() {
    const { connection, capacity } = this.answer;
    return this.#histories.get(connection).draw(this.now * 1000, capacity?.total ?? 0);
  }

  choose(connection) {
    this.#connection = connection;
    this.limits = { ...LIMITS };
    this.busy = true;
    this.#changed();
    this.#poll();
  }

  refresh() {
    this.#spoken = null;
    this.#poll();
  }

  search(text) {
    if (text === this.find) return;
    this.find = text;
    this.#pause();
    this.#timer = setTimeout(() => this.#poll(), TYPING_MS);
  }

  more(name) {
    this.limits[name] += MORE_ROWS;
    this.#poll();
  }

  #pause() {
    clearTimeout(this.#timer);
    this.#request?.abort();
    this.#request = null;
  }

  async #poll() {
    this.#pause();
    const request = (this.#request = new AbortController());
    const timeout = setTimeout(() => request.abort(), TIMEOUT_MS);
    const { answer, title, text } = await this.#fetch(request.signal);
    clearTimeout(timeout);
    if (this.#request !== request) return;
    this.busy = false;
    this.failed = !answer;
    this.#failures = answer ? 0 : this.#failures + 1;
    if (answer) this.#take(answer);
    this.warnings = this.answer ? warningsOf({ ...this.answer, now: this.now }) : [];
    if (this.failed) {
      const last = this.answer ? " Below is its last answer." : "";
      this.warnings.unshift({ id: "airflow", tone: "error", title, text: text + last });
    }
    this.#speak();
    this.#changed();
    this.#timer = setTimeout(() => this.#poll(), Math.min(SLOWEST_POLL_MS, POLL_MS * 2 ** this.#failures));
  }

  /** Return the answer, or title and text of a warning. */
  async #fetch(signal) {
    const url = new URL("api/capacity", import.meta.url);
    if (this.#connection) url.searchParams.set("conn_id", this.#connection);
    if (this.find) url.searchParams.set("find", this.find);
    url.searchParams.set("limit", Math.min(MAX_ROWS, Math.max(...Object.values(this.limits))));
    let status;
    try {
      const response = await fetch(url, { signal, headers: { Accept: "application/json" }, cache: "no-store" });
      if (response.ok) return { answer: await response.json() };
      status = response.status;
    } catch {
      return { title: "Airflow does not answer", text: "This page keeps polling." };
    }
    if (status === 404) this.#connection = null; // it was removed: the next answer is about another one
    if (status === 401) return { title: "You are logged out", text: "Log in again: reload the page." };
    if (status === 403) return { title: "You may not see this page", text: "It needs the right to see plugins." };
    return { title: `Airflow answers with an error: ${status}`, text: "The log of its API server says why." };
  }

  #take(answer) {
    this.answer = answer;
    this.#skew = answer.now * 1000 - Date.now();
    const { connection, capacity, problem, taken_at } = answer;
    if (!this.#histories.has(connection)) this.#histories.set(connection, new History());
    if (capacity && !problem) this.#histories.get(connection).add(taken_at * 1000, capacity.free);
  }

  /** Tell a screen reader of a change in kind: never of numbers that change by themselves. */
  #speak() {
    const titles = this.warnings.filter(({ tone }) => tone !== "info").map(({ title }) => title);
    if (this.find && this.answer) titles.push(`${count(this.answer.waits.found, "waiting task")} found`);
    const spoken = titles.join(". ");
    if (spoken === this.#spoken) return;
    if (this.#spoken === null) titles.push("Page is up to date");
    this.status = titles.join(". ") || "No warnings";
    this.#spoken = spoken;
  }
}

export const feed = new Feed();
