/*
 * The capacity page inside Airflow's own UI, which imports this module as it is: there is no build step.
 *
 * Airflow 3.1.1 and later put React, ReactDOM and React Router on `globalThis`. The page is rendered into a shadow
 * root: Airflow's colours reach into it as CSS variables, its rules do not.
 */

const { createElement: h, Fragment, useEffect, useReducer, useState } = globalThis.React;
const { createPortal } = globalThis.ReactDOM;
const { Link } = globalThis.ReactRouterDOM;

// The version, so that a new one is not taken from the cache.
const { search } = new URL(import.meta.url);
const beside = (name) => new URL(`${name}${search}`, import.meta.url);
const { capitalized, count, duration, taskName, taskPath } = await import(beside("words.js"));
const { feed, MAX_ROWS, MORE_ROWS } = await import(beside("feed.js"));

const STYLE = beside("page.css");
const MAX_SEGMENTS = 40;
const LATE_PROGRESS = 90; // s; a batch tells its progress every 30 s

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
