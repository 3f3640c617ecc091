/*
 * The capacity page inside Airflow's own UI, which imports this module as it is: there is no build step.
 *
 * Airflow 3.1.1 and later put React, ReactDOM and React Router on `globalThis`. The page is rendered into a shadow
 * root: Airflow's colours reach into it as CSS variables, its rules do not.
 */

const { createElement: h, Fragment, useEffect, useReducer, useState } = globalThis.React;
const { createPortal } = globalThis.ReactDOM;
const { Link } = globalThis.ReactRouterDOM;

const STYLE = new URL("page.css", import.meta.url);
STYLE.search = new URL(import.meta.url).search; // the version, so that a new one is not taken from the cache
const POLL_MS = 5_000;
const SLOWEST_POLL_MS = 30_000;
const TIMEOUT_MS = 20_000;
const TYPING_MS = 250;
const ROWS = 50;
const LIMITS = { waits: ROWS, jobs: ROWS, batches: ROWS };
const MORE_ROWS = 200;
const MAX_ROWS = 1_000; // of the server
const MAX_SEGMENTS = 40;
const MAX_RUNS = 600;
const LATE_PROGRESS = 90; // s; a batch tells its progress every 30 s

// Words

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function taskName({ dag_id, task_id, map_index }) {
  return `${dag_id} › ${task_id}${map_index >= 0 ? ` [${map_index}]` : ""}`;
}

function taskPath({ dag_id, run_id, task_id, map_index }) {
  const [dag, run, task] = [dag_id, run_id, task_id].map(encodeURIComponent);
  return `/dags/${dag}/runs/${run}/tasks/${task}${map_index >= 0 ? `/mapped/${map_index}` : ""}`;
}

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

const feed = new Feed();

// The page, top down

function Page() {
  const [, redraw] = useReducer((drawn) => drawn + 1, 0);
  const [isStyled, setStyled] = useState(false);
  useEffect(() => feed.start(redraw), []);
  const { answer, warnings } = feed;
  const style = () => setStyled(true);
  const className = feed.failed || answer?.problem ? "page stale" : "page";
  return h(Fragment, null,
    h("link", { rel: "stylesheet", href: STYLE.href, onLoad: style, onError: style }),
    h("main", { className, lang: "en", dir: "ltr", hidden: !isStyled, "aria-busy": feed.busy || null },
      h("header", { className: "head" },
        h("h1", null, "PixVerse capacity"),
        answer?.connections.length > 0 && h(Chooser),
        h("div", { className: "fresh" },
          h(Age),
          h("button", { type: "button", onClick: () => feed.refresh() }, "Refresh"))),
      h("p", { className: "unseen", role: "status" }, feed.status),
      h("ul", { className: "warnings", role: "list", "aria-label": "Warnings", hidden: !warnings.length },
        warnings.map((warning) => h(Warning, { key: warning.id, ...warning }))),
      answer && (answer.connections.length ? h(Body) : h(FirstSteps))));
}

function Chooser() {
  const choose = (event) => feed.choose(event.target.value);
  return h("div", { className: "chooser" },
    h("label", { htmlFor: "pixverse-connection" }, "Connection"),
    h("select", { id: "pixverse-connection", value: feed.connection, onChange: choose },
      feed.answer.connections.map((id) => h("option", { key: id }, id))));
}

function Age() {
  const [, tick] = useReducer((ticks) => ticks + 1, 0);
  useEffect(() => {
    const clock = setInterval(tick, 1_000);
    return () => clearInterval(clock);
  }, []);
  const { answer, failed } = feed;
  if (answer && !answer.connections.length) return null;
  const text = answer?.taken_at ? `PixVerse answered ${duration(feed.now - answer.taken_at)} ago`
    : failed ? "No answer" : answer?.problem ? "PixVerse has not answered yet" : "Polling …";
  return h("span", { className: "age" }, text);
}

function Warning({ tone, title, text, tasks, toConnections }) {
  return h("li", { className: `warning ${tone}` },
    h("span", { className: "unseen" }, `${{ error: "Error", warning: "Warning", info: "Note" }[tone]}: `),
    h("strong", null, title),
    h("span", null, text),
    tasks && h("span", { className: "tasks" }, tasks.map((task) =>
      h("span", { className: "large", key: taskPath(task) },
        h(TaskLink, task),
        h("span", { className: "note" }, count(task.slots, "slot"))))),
    toConnections && h(Link, { to: "/connections" }, "Open the connections"));
}

function FirstSteps() {
  return h("section", { className: "first" },
    h("h2", null, "There is no connection to PixVerse yet"),
    h("p", null, "Its type is PixVerse, and its password is the API token of useapi.net. ",
      "It shows up here as soon as it is saved."),
    h(Link, { to: "/connections" }, "Add a connection"));
}

function Body() {
  const { capacity, problem, waits } = feed.answer;
  const running = capacity?.executing_total;
  const own = capacity?.executing.filter((job) => job.mine).length;
  return h("div", { className: "body" },
    h("dl", { className: "tiles" },
      h(Tile, { name: "free", title: "Free slots", number: capacity?.free,
        note: capacity ? `of ${count(capacity.total, "slot")}` : problem && "not known" }),
      h(Tile, { name: "executing", title: "Executing", number: running,
        note: running && running === capacity.executing.length ? `${own || "none"} by Airflow` : null }),
      h(Tile, { name: "waiting", title: "Waiting", number: waits.total,
        note: waits.longest_since ? `longest ${duration(feed.now - waits.longest_since)}` : null }),
      h(Trend)),
    capacity && h(Accounts),
    h(Batches),
    h("div", { className: "columns" }, h(Waits), h(Jobs)));
}

function Tile({ name, title, number, note }) {
  return h("div", { className: `tile ${name}` },
    h("dt", null, title),
    h("dd", null, h("span", { className: "number" }, number ?? "–"), h("span", { className: "note" }, note)));
}

function Trend() {
  const { line, area, span, words } = feed.trend;
  const box = { viewBox: "0 0 100 100", preserveAspectRatio: "none" };
  return h("div", { className: "tile trend" },
    h("dt", null, "Free slots since you opened this page"),
    h("dd", null,
      h("div", { className: "chart" },
        h("span", { className: "top", "aria-hidden": true }, feed.answer.capacity?.total || null),
        h("span", { className: "zero", "aria-hidden": true }, "0"),
        h("svg", { ...box, role: "img", "aria-label": `Free slots: ${words}` },
          h("path", { className: "area", d: area }),
          h("path", { className: "floor", d: "M0,96H100" }),
          h("path", { className: "line", d: line })),
        h("span", { className: "from", "aria-hidden": true }, span && `${duration(span / 1000)} ago`),
        h("span", { className: "to", "aria-hidden": true }, "now"))));
}

function Section({ name, title, tools, empty, children }) {
  const id = `pixverse-${name}`;
  return h("section", { className: name, "aria-labelledby": id },
    h("div", { className: "title" }, h("h2", { id }, title), h("div", { className: "tools" }, tools)),
    children,
    empty && h("p", { className: "empty" }, empty));
}

function Accounts() {
  const { accounts } = feed.answer.capacity;
  const empty = "This API token has no PixVerse account. Add one at useapi.net: without an account no job can run.";
  return h(Section, { name: "accounts", title: "Accounts", empty: !accounts.length && empty },
    h("ul", { className: "accounts", role: "list" },
      accounts.map((account, i) => h(Account, { key: account.email ?? i, ...account }))));
}

function Account({ email, total, executing, free, error }) {
  const used = total - free;
  const [state, tone] = error ? ["in error", "bad"] : free ? [`${free} free`, "good"] : ["full", ""];
  const segments = total <= MAX_SEGMENTS
    ? Array.from({ length: total }, (_, i) => h("i", { key: i, className: i < used ? "used" : "open" }))
    : [["used", used], ["open", free]].map(([className, flexGrow]) =>
        flexGrow > 0 && h("i", { key: className, className, style: { flexGrow } }));
  return h("li", { className: "account-card" },
    h("div", { className: "line" },
      h("span", { className: "email", title: email }, email ?? "unknown account"),
      h("span", { className: `state ${tone}` }, state)),
    h("div", { className: "slots", "aria-hidden": true }, segments),
    h("span", { className: "note" }, `${executing} of ${count(total, "slot")} in use`));
}

function Batches() {
  const { total, hidden, shown } = feed.answer.batches;
  if (!total) return null;
  const notes = ["Each makes a whole table in one task, and tells its counts every 30 s."];
  if (hidden) notes.push(`${count(hidden, "more batch runs", "more batches run")} in DAGs that you may not see.`);
  const empty = "You may not see the DAGs of the running batches.";
  return h(Section, { name: "batches", title: "Batches", empty: !shown.length && empty },
    shown.length > 0 && h("p", { className: "hint" }, notes.join(" ")),
    h(Table, {
      name: "batches", title: "Batches that run", items: shown, total: total - hidden, row: batchRow,
      columns: { task: "Task", rows: "Rows", rate: "Rows a minute", left: "Time left", credits: "Credits" },
    }));
}

function batchRow(batch) {
  const { since, at, counts, rate, seconds_left, cost_credits } = batch;
  const age = at ? feed.now - at : 0;
  return {
    key: taskPath(batch),
    task: h(TaskLink, batch),
    rows: h(Fragment, null,
      counts ? h(Counts, { counts }) : h("span", { className: "note" }, "Its counts are not known yet"),
      age > LATE_PROGRESS && h("span", { className: "detail" }, `as of ${duration(age)} ago`)),
    rate: rate === null ? "–" : Number(rate.toFixed(1)),
    left: h(Fragment, null,
      h("span", null, seconds_left === null ? "–" : duration(seconds_left)),
      since ? h("span", { className: "detail" }, `after ${duration(feed.now - since)}`) : null),
    credits: cost_credits ?? "–",
  };
}

/** A bar for the eye, and the same in words. */
function Counts({ counts }) {
  const { stored = 0, running = 0, waiting = 0, ...ends } = counts;
  const lost = Object.values(ends).reduce((sum, number) => sum + number, 0);
  const segments = { stored, running, waiting, lost };
  const others = Object.entries({ running, waiting, ...ends }).filter(([, number]) => number);
  const words = [
    `${stored} of ${stored + running + waiting + lost} stored`,
    ...others.map(([status, number]) => `${number} ${status}`),
  ];
  return h(Fragment, null,
    h("div", { className: "bar", "aria-hidden": true }, Object.entries(segments).map(([className, flexGrow]) =>
      flexGrow > 0 && h("i", { key: className, className, style: { flexGrow } }))),
    h("span", null, words.join(", ")));
}

function Waits() {
  const { waits, capacity, problem } = feed.answer;
  const { find } = feed;
  const visible = waits.total - waits.hidden;
  const notes = ["In the order in which they are served."];
  if (waits.hidden && visible) {
    notes.push(`${count(waits.hidden, "more task waits", "more tasks wait")} in DAGs that you may not see.`);
  }
  if (capacity?.free > 0 && !problem && waits.shown.some((wait) => wait.place)) {
    notes.push("A free slot may be kept for a task just let through.");
  }
  const empty = find && visible ? `None of the ${count(visible, "waiting task")} matches “${find}”.`
    : waits.total ? "You may not see the DAGs of the waiting tasks."
    : "No task waits for a slot. PixverseSubmitOperator and PixverseCapacitySensor show up here, in order.";
  const tools = h(Fragment, null,
    h("span", { className: "note" }, find && `${waits.found} of ${visible}`),
    h("input", {
      type: "search", placeholder: "Find a DAG, task or run", "aria-label": "Find a DAG, task or run that waits",
      autoComplete: "off", spellCheck: false, defaultValue: find,
      onChange: (event) => feed.search(event.target.value.trim()),
    }));
  return h(Section, { name: "waits", title: "Waiting for a slot", tools, empty: !waits.shown.length && empty },
    h("p", { className: "hint" }, notes.join(" ")),
    h(Table, {
      name: "waits", title: "Tasks that wait for a slot", items: waits.shown, total: waits.found, row: waitRow,
      columns: { place: "Place", task: "Task", wants: "Wants", since: "Waiting for", until: "Times out in" },
    }));
}

function waitRow(wait) {
  const { place, mode, priority, slots, emails, since, times_out_at } = wait;
  const accounts = emails?.join(", ");
  const polls = { className: "chip", title: "It polls for itself, and has no place in the queue." };
  return {
    key: taskPath(wait),
    place: place ? h("span", null, place) : h("span", polls, mode),
    task: h(Fragment, null,
      h(TaskLink, wait),
      priority !== 1 && h("span", { className: "chip", title: "Its priority_weight" }, `priority ${priority}`)),
    wants: h(Fragment, null,
      h("span", null, slots === null ? "–" : count(slots, "slot")),
      h("span", { className: "detail", title: accounts }, accounts && `on ${accounts}`)),
    since: since ? duration(feed.now - since) : "–",
    until: times_out_at ? duration(times_out_at - feed.now) : "–",
  };
}

function Jobs() {
  const { capacity } = feed.answer;
  const jobs = capacity?.executing ?? [];
  const empty = capacity ? "No job is executing. Every job of this API token shows up here."
    : "The executing jobs are not known.";
  return h(Section, { name: "jobs", title: "Executing", empty: !jobs.length && empty },
    h("p", { className: "hint" }, "The oldest first, of all clients."),
    h(Table, {
      name: "jobs", title: "Jobs that execute", items: jobs, total: capacity?.executing_total, row: jobRow,
      columns: { job: "Job", account: "Account", by: "Submitted by", since: "Age" },
    }));
}

function jobRow({ id, type, email, started, age_seconds, task, mine }, index) {
  const age = started ? feed.now - started : age_seconds;
  const title = mine ? "A task of a DAG that you may not read, or of another Airflow." : null;
  const other = h("span", { className: "note", title }, mine ? "another task" : "another client");
  return {
    key: `${type} ${email} ${id || index}`,
    job: h(Fragment, null, h("span", null, capitalized(type)), h("span", { className: "detail", title: id }, id)),
    account: h("span", { className: "clipped", title: email }, email ?? "unknown"),
    by: task ? h(TaskLink, task) : other,
    since: age === null ? "–" : duration(age),
  };
}

/** A table of the first items, with a button that shows more. */
function Table({ name, title, columns, items, row, total }) {
  if (!items.length) return null;
  const heads = Object.entries(columns);
  const rows = items.slice(0, feed.limits[name]).map(row);
  const hasMore = rows.length < Math.min(total, MAX_ROWS);
  // Roles are repeated, since a table that is laid out in another way on a narrow screen loses them.
  return h(Fragment, null,
    h("table", { role: "table", "aria-label": title },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map(([key, head]) =>
        h("th", { key, role: "columnheader", scope: "col", className: key }, head)))),
      h("tbody", { role: "rowgroup" }, rows.map(({ key, ...cells }) =>
        h("tr", { key, role: "row" }, heads.map(([column, head]) =>
          h("td", { key: column, role: "cell", className: column, "data-label": head }, cells[column])))))),
    hasMore && h("button", { type: "button", className: "more", onClick: () => feed.more(name) },
      `Show ${Math.min(MORE_ROWS, total - rows.length)} more of ${total}`));
}

function TaskLink(task) {
  const name = taskName(task);
  return h("div", { className: "clip" },
    h(Link, { className: "name", to: taskPath(task), title: name }, name),
    h("span", { className: "detail", title: task.run_id }, task.run_id));
}

/** The component that Airflow renders. */
function PixverseCapacity() {
  const [host, setHost] = useState(null);
  return h("div", { ref: setHost, style: { height: "100%", minHeight: 0 } },
    host && createPortal(h(Page), host.shadowRoot ?? host.attachShadow({ mode: "open" })));
}

globalThis["PixVerse capacity"] = PixverseCapacity;
