/*
 * The capacity page inside Airflow's own UI: Airflow imports this module as it is, there is no build step.
 *
 * React mounts one element and knows nothing of what is in it. The page draws with the DOM, in a shadow root:
 * Airflow's colours reach into it as CSS variables, its rules do not. Whatever the server says becomes text
 * nodes and attributes, never HTML. What is already there is updated in place, so that focus, selection and
 * scroll position survive a refresh.
 */

const MODULE = new URL(import.meta.url);
const POLL_MS = 5_000;
const SLOWEST_POLL_MS = 30_000;
const ANSWER_WITHIN_MS = 20_000;
const TYPING_MS = 250;
const ROWS = 50;
const MORE_ROWS = 200;
const MOST_ROWS = 1_000; // of the server
const MOST_SEGMENTS = 40;
const RUNS_KEPT = 600;
const SVG = "http://www.w3.org/2000/svg";

// Elements

/** Return an element; `on...` properties are listeners, the others attributes, strings become text. */
function element(name, properties = {}, ...children) {
  const made = properties.xmlns ? document.createElementNS(properties.xmlns, name) : document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key !== "xmlns") attribute(made, key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Set an attribute if it is another; null, undefined and false remove it. */
function attribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value === true ? "" : value);
}

/** Set the text of an element if it is another: a text node that stays keeps its selection. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Return a function that shows items, which have a `key`, as the children of an element.
 *
 * @param make returns `{node, update}` for an item that is new; `update(item)` shows it.
 */
function list(parent, make) {
  const rows = new Map();
  return (items) => {
    const keys = new Set(items.map((item) => item.key));
    for (const [key, row] of rows) {
      if (keys.has(key)) continue;
      row.node.remove();
      rows.delete(key);
    }
    const focused = parent.getRootNode().activeElement;
    let next = parent.firstElementChild;
    for (const item of items) {
      if (!rows.has(item.key)) rows.set(item.key, make(item));
      const { node, update } = rows.get(item.key);
      update(item);
      if (node === next) next = next.nextElementSibling;
      else parent.insertBefore(node, next);
    }
    // An element that changes its place loses the focus.
    if (focused?.isConnected && parent.contains(focused) && parent.getRootNode().activeElement !== focused) {
      focused.focus({ preventScroll: true });
    }
  };
}

// Words

function lasting(seconds) {
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

function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function nameOf({ dag_id, task_id, map_index }) {
  return `${dag_id} › ${task_id}${map_index >= 0 ? ` [${map_index}]` : ""}`;
}

function pathOf({ dag_id, run_id, task_id, map_index }) {
  const [dag, run, task] = [dag_id, run_id, task_id].map(encodeURIComponent);
  return `dags/${dag}/runs/${run}/tasks/${task}${map_index >= 0 ? `/mapped/${map_index}` : ""}`;
}

// What to say about an answer

const TROUBLES = {
  connection: { title: "The connection cannot be used", connections: true },
  token: { title: "PixVerse refuses the API token", connections: true },
  refused: { title: "PixVerse refuses the request" },
  busy: { title: "PixVerse says that it is asked too often" },
  service: { title: "PixVerse answers with an error" },
  network: { title: "PixVerse does not answer" },
  page: { title: "This page could not ask PixVerse" },
};

/** Return what is wrong, the worst first: `{key, tone, title, text, tasks, to}`. */
function warnings(answer, age) {
  const { trouble, capacity, waits, triggerers } = answer;
  const found = [];
  const add = (key, tone, title, text, more) => found.push({ key, tone, title, text, ...more });
  const toConnections = { to: { path: "connections", text: "Open the connections" } };
  const asked = trouble?.retry_at > answer.now ? ` It is asked again in ${lasting(-age(trouble.retry_at))}.` : "";
  const last = capacity ? " What is below is what it said last." : "";
  if (trouble) {
    const known = TROUBLES[trouble.kind] ?? TROUBLES.service;
    const lasts = age(trouble.since) >= 1 ? ` This has been so for ${lasting(age(trouble.since))}.` : "";
    const first = capacity || age(trouble.since) > 5 ? "error" : "info";
    add("trouble", first, known.title, `${trouble.message}${lasts}${last}${asked}`, known.connections && toConnections);
  }
  if (triggerers === 0 && waits.total > 0) {
    add("triggerer", "error", "No triggerer is alive",
      "Deferred tasks wait, but nothing looks for slots for them. Start one: airflow triggerer");
  }
  for (const account of capacity?.accounts ?? []) {
    if (!account.error) continue;
    add(`account ${account.email}`, "warning", `The account ${account.email} is in error`,
      `${capitalised(account.error)}. It takes no jobs until that is mended at PixVerse or useapi.net.`);
  }
  if (waits.too_large.length) {
    add("large", "warning", "Some tasks ask for more slots than there are",
      "They hold nobody up, and will time out unless slots are added. Let them ask for fewer, or for other accounts:",
      { tasks: waits.too_large });
  }
  if (triggerers > 1) {
    add("queues", "info", `${triggerers} triggerers are alive, and each has a queue of its own`,
      "A task is served in the order of its own triggerer, so the places below may be off by a few.");
  }
  return found;
}

// Free slots since the page was opened

/** A step function of time, as runs of equal values; it has gaps where nobody asked. */
class History {
  #runs = [];

  add(at, free) {
    const last = this.#runs.at(-1);
    const follows = last && at - last.to < 4 * SLOWEST_POLL_MS;
    if (last && at <= last.to) return;
    if (follows && last.free === free) last.to = at;
    else {
      if (follows) last.to = at;
      this.#runs.push({ from: at, to: at, free });
    }
    if (this.#runs.length > RUNS_KEPT) this.#runs.shift();
  }

  /** Return how to draw it up to now: SVG paths in a box of 100 times 100, and what it shows in words. */
  drawn(now, total) {
    const runs = this.#runs;
    if (!runs.length) return { line: "", area: "", span: 0, words: "No data yet" };
    const span = Math.max(60_000, now - runs[0].from);
    const values = runs.map((run) => run.free);
    const top = Math.max(total, ...values, 1);
    const x = (at) => (100 - ((now - at) / span) * 100).toFixed(2);
    const y = (free) => (96 - (free / top) * 92).toFixed(2);
    let [line, area] = ["", ""];
    runs.forEach((run, i) => {
      const to = i === runs.length - 1 && now - run.to < 4 * SLOWEST_POLL_MS ? now : run.to;
      const joined = i > 0 && runs[i - 1].to === run.from;
      line += `${joined ? "L" : "M"}${x(run.from)},${y(run.free)}H${x(to)}`;
      area += `M${x(run.from)},96V${y(run.free)}H${x(to)}V96Z`;
    });
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const range = least === most ? `${least}` : `between ${least} and ${most}`;
    return { line, area, span, words: `${range} in ${lasting((now - runs[0].from) / 1000)}, now ${values.at(-1)}` };
  }
}

// The page

class Page {
  #host = element("div", { style: "display: block; height: 100%; min-height: 0" });
  #router = { root: "/", navigate: null };
  #timer = null;
  #clock = null;
  #asking = null;
  #failures = 0;
  #answer = null;
  #unreachable = null;
  #skew = 0;
  #connection = null;
  #find = "";
  #limits = { waits: ROWS, jobs: ROWS };
  #histories = new Map();
  #spoken = "";

  constructor() {
    this.#draw();
    document.addEventListener("visibilitychange", () => this.#onVisibility());
  }

  /** Show the page in an element, and return a function that takes it out. */
  mount(parent) {
    parent.append(this.#host);
    this.#onVisibility();
    return () => {
      this.#host.remove();
      this.#pause();
    };
  }

  /** Take over how Airflow's own UI goes to another page. */
  route(root, navigate) {
    this.#router = { root: root.endsWith("/") ? root : `${root}/`, navigate };
  }

  // Asking

  #onVisibility() {
    this.#pause();
    if (!this.#host.isConnected || document.hidden) return;
    this.#clock = setInterval(() => this.#showAge(), 1_000);
    this.#ask();
  }

  #pause() {
    clearTimeout(this.#timer);
    clearInterval(this.#clock);
    this.#asking?.abort();
    this.#asking = null;
  }

  async #ask() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    const late = setTimeout(() => asking.abort("late"), ANSWER_WITHIN_MS);
    try {
      const answer = await this.#fetch(asking.signal);
      if (this.#asking !== asking) return;
      this.#failures = 0;
      this.#unreachable = null;
      this.#take(answer);
    } catch (error) {
      if (this.#asking !== asking) return;
      this.#failures += 1;
      this.#unreachable = error instanceof Refusal ? error : new Refusal("Airflow does not answer", "This page goes on asking.");
      if (!(error instanceof Refusal) && error?.name !== "TypeError" && error !== "late") console.error(error);
    } finally {
      clearTimeout(late);
    }
    this.#show();
    this.#timer = setTimeout(() => this.#ask(), Math.min(SLOWEST_POLL_MS, POLL_MS * 2 ** this.#failures));
  }

  async #fetch(signal) {
    const address = new URL("api/capacity", MODULE);
    if (this.#connection) address.searchParams.set("conn_id", this.#connection);
    if (this.#find) address.searchParams.set("find", this.#find);
    address.searchParams.set("limit", Math.min(MOST_ROWS, Math.max(...Object.values(this.#limits))));
    const response = await fetch(address, { signal, headers: { Accept: "application/json" }, cache: "no-store" });
    if (response.status === 401) throw new Refusal("You are logged out", "Log in again: reload the page.");
    if (response.status === 403) throw new Refusal("You may not see this page", "It needs the right to see Airflow's plugins.");
    if (response.status === 404 && this.#connection) {
      this.#connection = null; // it was removed: the next answer is about another one
    }
    if (!response.ok) throw new Refusal("Airflow cannot tell", `It answered ${response.status}; the log of its API server says why.`);
    return response.json();
  }

  #take(answer) {
    this.#answer = answer;
    this.#skew = answer.now * 1000 - Date.now();
    const { connection, capacity, trouble, taken_at } = answer;
    if (!this.#histories.has(connection)) this.#histories.set(connection, new History());
    if (capacity && !trouble) this.#histories.get(connection).add(taken_at * 1000, capacity.free);
  }

  #age = (moment) => (Date.now() + this.#skew) / 1000 - moment;

  // Drawing: once, with what changes as fields

  #draw() {
    const shadow = this.#host.attachShadow({ mode: "open" });
    const style = new URL("page.css", MODULE);
    style.search = MODULE.search;
    const ui = (this.#ui = {});
    const field = (name, tag, properties, ...children) => (ui[name] = element(tag, properties, ...children));
    const tile = (name, title) =>
      element("div", { class: `tile ${name}` },
        element("dt", {}, title),
        element("dd", {}, field(`${name}Number`, "span", { class: "number" }, "–"), field(`${name}Note`, "span", { class: "note" })));

    const main = field("main", "main", { class: "page", lang: "en", dir: "ltr", "aria-busy": "true", hidden: true },
      element("header", { class: "head" },
        element("h1", {}, "PixVerse capacity"),
        field("chooser", "div", { class: "chooser" }, element("label", { for: "pixverse-connection" }, "Connection"),
          field("choice", "select", { id: "pixverse-connection", onchange: () => this.#choose(ui.choice.value) })),
        element("div", { class: "fresh" },
          field("age", "span", { class: "age" }, "Asking …"),
          element("button", { type: "button", onclick: () => this.#refresh() }, "Refresh"))),
      field("status", "p", { class: "unseen", role: "status" }),
      field("warnings", "ul", { class: "warnings", role: "list", "aria-label": "Warnings" }),
      field("first", "section", { class: "first", hidden: true }),
      field("body", "div", { class: "body" },
        element("dl", { class: "tiles" },
          tile("free", "Free slots"),
          tile("executing", "Executing"),
          tile("waiting", "Waiting"),
          element("div", { class: "tile trend" },
            element("dt", {}, "Free slots since you opened this page"),
            element("dd", {}, this.#drawTrend(field)))),
        this.#drawSection(field, "accounts", "Accounts", field("accounts", "ul", { class: "accounts", role: "list" })),
        element("div", { class: "columns" },
          this.#drawWaits(field),
          this.#drawJobs(field))));

    const show = () => (main.hidden = false);
    shadow.append(element("link", { rel: "stylesheet", href: style.href, onload: show, onerror: show }), main);
    this.#lists = {
      warnings: list(ui.warnings, (item) => this.#warning(item)),
      choices: list(ui.choice, ({ key }) => ({ node: element("option", { value: key }, key), update() {} })),
      accounts: list(ui.accounts, () => account()),
      waits: list(ui.waits, () => this.#wait()),
      jobs: list(ui.jobs, () => this.#job()),
    };
  }

  #ui;
  #lists;

  #drawTrend(field) {
    const svg = field("trend", "svg", { xmlns: SVG, viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img" },
      field("trendArea", "path", { xmlns: SVG, class: "area" }),
      element("path", { xmlns: SVG, class: "floor", d: "M0,96H100" }),
      field("trendLine", "path", { xmlns: SVG, class: "line" }));
    return element("div", { class: "chart" },
      field("trendTop", "span", { class: "top", "aria-hidden": "true" }),
      element("span", { class: "zero", "aria-hidden": "true" }, "0"),
      svg,
      field("trendFrom", "span", { class: "from", "aria-hidden": "true" }),
      element("span", { class: "to", "aria-hidden": "true" }, "now"));
  }

  #drawSection(field, name, title, ...children) {
    const id = `pixverse-${name}`;
    return field(`${name}Section`, "section", { class: name, "aria-labelledby": id },
      element("div", { class: "title" }, element("h2", { id }, title), field(`${name}Tools`, "div", { class: "tools" })),
      ...children,
      field(`${name}Empty`, "p", { class: "empty", hidden: true }),
      field(`${name}More`, "button", { type: "button", class: "more", hidden: true }));
  }

  #drawTable(field, name, title, columns) {
    // Roles are repeated, as a table that is laid out in another way on a narrow screen loses them.
    const head = columns.map(([key, text]) => element("th", { role: "columnheader", scope: "col", class: key }, text));
    return field(`${name}Table`, "table", { role: "table", "aria-label": title },
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...head)),
      field(name, "tbody", { role: "rowgroup" }));
  }

  #drawWaits(field) {
    const section = this.#drawSection(field, "waits", "Waiting for a slot",
      field("waitsNote", "p", { class: "hint" }),
      this.#drawTable(field, "waits", "Tasks that wait for a slot", [
        ["place", "Place"], ["task", "Task"], ["wants", "Wants"], ["since", "Waiting for"], ["until", "Times out in"]]));
    field("found", "span", { class: "note" });
    field("search", "input", {
      type: "search", "aria-label": "Find a DAG, task or run among those that wait", placeholder: "Find a DAG, task or run",
      autocomplete: "off", spellcheck: "false", oninput: () => this.#search(ui.search.value.trim(), TYPING_MS),
    });
    const ui = this.#ui;
    ui.waitsTools.append(ui.found, ui.search);
    ui.waitsMore.addEventListener("click", () => this.#more("waits"));
    return section;
  }

  #drawJobs(field) {
    const section = this.#drawSection(field, "jobs", "Executing",
      element("p", { class: "hint" }, "The oldest first, whoever submitted them."),
      this.#drawTable(field, "jobs", "Jobs that execute", [
        ["job", "Job"], ["account", "Account"], ["by", "Submitted by"], ["since", "Age"]]));
    this.#ui.jobsMore.addEventListener("click", () => this.#more("jobs"));
    return section;
  }

  /** Return `{node, show}` for a link to a task of this Airflow. */
  #link() {
    const [text, run] = [element("a", { class: "name" }), element("span", { class: "detail" })];
    text.addEventListener("click", (event) => this.#follow(event, text));
    return {
      node: element("div", { class: "clip" }, text, run),
      show: (task) => {
        say(text, nameOf(task));
        say(run, task.run_id);
        attribute(text, "href", this.#router.root + pathOf(task));
        attribute(text, "title", nameOf(task));
        attribute(run, "title", task.run_id);
      },
    };
  }

  #follow(event, link) {
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || !this.#router.navigate) return;
    event.preventDefault();
    this.#router.navigate(`/${link.getAttribute("href").slice(this.#router.root.length)}`);
  }

  #warning({ tone }) {
    const [title, text, tasks] = [element("strong"), element("span"), element("span", { class: "tasks" })];
    const link = element("a");
    link.addEventListener("click", (event) => this.#follow(event, link));
    const mark = { error: "Error", warning: "Warning", info: "Note" }[tone];
    const showTasks = list(tasks, () => this.#largeTask());
    return {
      node: element("li", { class: `warning ${tone}` }, element("span", { class: "unseen" }, `${mark}: `), title, text, tasks, link),
      update: (item) => {
        say(title, item.title);
        say(text, item.text);
        showTasks((item.tasks ?? []).slice(0, 5).map((task) => ({ ...task, key: keyOf(task) })));
        link.hidden = !item.to;
        say(link, item.to?.text ?? "");
        attribute(link, "href", item.to && this.#router.root + item.to.path);
      },
    };
  }

  #largeTask() {
    const [link, slots] = [this.#link(), element("span", { class: "note" })];
    return {
      node: element("span", { class: "large" }, link.node, slots),
      update: (task) => {
        link.show(task);
        say(slots, count(task.slots, "slot"));
      },
    };
  }

  #wait() {
    const link = this.#link();
    const [place, wants, accounts, since, until] = ["span", "span", "span", "span", "span"].map((tag) => element(tag));
    accounts.className = "detail";
    return {
      node: row(["place", "Place", place], ["task", "Task", link.node], ["wants", "Wants", wants, accounts],
        ["since", "Waiting for", since], ["until", "Times out in", until]),
      update: (wait) => {
        link.show(wait);
        say(place, wait.place ? String(wait.place) : wait.mode === "deferred" ? "–" : wait.mode);
        attribute(place, "title", wait.place ? null : "It polls for itself, and has no place in the queue.");
        attribute(place, "class", wait.place ? null : "chip");
        say(wants, wait.slots === null ? "–" : count(wait.slots, "slot"));
        say(accounts, wait.emails?.length ? `on ${wait.emails.join(", ")}` : "");
        attribute(accounts, "title", wait.emails?.join(", "));
        say(since, wait.since ? lasting(this.#age(wait.since)) : "–");
        say(until, wait.times_out_at ? lasting(-this.#age(wait.times_out_at)) : "–");
      },
    };
  }

  #job() {
    const link = this.#link();
    const [type, id, email, other, since] = ["span", "span", "span", "span", "span"].map((tag) => element(tag));
    id.className = "detail";
    email.className = "clipped";
    other.className = "note";
    return {
      node: row(["job", "Job", type, id], ["account", "Account", email], ["by", "Submitted by", link.node, other], ["since", "Age", since]),
      update: (job) => {
        say(type, capitalised(job.type));
        say(id, job.id);
        attribute(id, "title", job.id);
        say(email, job.email ?? "unknown");
        attribute(email, "title", job.email);
        link.node.hidden = !job.task;
        other.hidden = !!job.task;
        if (job.task) link.show(job.task);
        else say(other, job.mine ? "another task" : "somebody else");
        attribute(other, "title", job.mine && "A task of a DAG that you may not read, or of another Airflow.");
        say(since, job.started ? lasting(this.#age(job.started)) : job.age_seconds === null ? "–" : lasting(job.age_seconds));
      },
    };
  }

  // Doing

  #choose(connection) {
    this.#connection = connection;
    this.#limits = { waits: ROWS, jobs: ROWS };
    attribute(this.#ui.main, "aria-busy", "true");
    this.#ask();
  }

  #refresh() {
    this.#spoken = "";
    this.#ask();
  }

  #search(text, delay) {
    if (text === this.#find) return;
    this.#find = text;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), delay);
  }

  #more(name) {
    this.#limits[name] += MORE_ROWS;
    this.#ask();
  }

  // Showing

  #show() {
    const [ui, answer, unreachable] = [this.#ui, this.#answer, this.#unreachable];
    const found = answer ? warnings(answer, this.#age) : [];
    if (unreachable) {
      const last = answer ? " What is below is what it said last." : "";
      found.unshift({ key: "unreachable", tone: "error", title: unreachable.title, text: unreachable.text + last });
    }
    this.#lists.warnings(found);
    ui.warnings.hidden = !found.length;
    attribute(ui.main, "aria-busy", !answer && !unreachable && "true");
    ui.main.classList.toggle("stale", !!(unreachable || answer?.trouble));
    ui.body.hidden = !!answer && !answer.connections.length;
    ui.chooser.hidden = !answer?.connections.length;
    this.#showFirstSteps();
    if (answer?.connections.length) {
      this.#lists.choices(answer.connections.map((key) => ({ key })));
      if (ui.choice.value !== answer.connection) ui.choice.value = answer.connection;
      this.#showCapacity();
      this.#showWaits();
    }
    this.#showAge();
    this.#speak(found);
  }

  #showFirstSteps() {
    const first = this.#ui.first;
    first.hidden = !this.#answer || !!this.#answer.connections.length;
    if (first.hidden || first.firstChild) return;
    const link = element("a", { href: `${this.#router.root}connections` }, "Add a connection");
    link.addEventListener("click", (event) => this.#follow(event, link));
    first.append(
      element("h2", {}, "There is no connection to PixVerse yet"),
      element("p", {}, "Its type is PixVerse, and its password is the API token of useapi.net. It shows up here as soon as it is saved."),
      link);
  }

  #showCapacity() {
    const [ui, { capacity, trouble, connection }] = [this.#ui, this.#answer];
    const jobs = capacity?.executing ?? [];
    const running = capacity?.executing_total ?? 0;
    const accounts = capacity?.accounts ?? [];
    const [free, total] = [capacity?.free, capacity?.total ?? 0];
    say(ui.freeNumber, capacity ? String(free) : "–");
    say(ui.freeNote, capacity ? `of ${count(total, "slot")}` : trouble ? "not known" : "");
    say(ui.executingNumber, capacity ? String(running) : "–");
    const own = jobs.filter((job) => job.mine).length;
    say(ui.executingNote, running && running === jobs.length ? own ? `${own} by Airflow` : "none by Airflow" : "");
    this.#lists.accounts(accounts.map((one, i) => ({ ...one, key: one.email ?? `unknown ${i}` })));
    ui.accountsEmpty.hidden = !capacity || accounts.length > 0;
    ui.accountsSection.hidden = !capacity;
    say(ui.accountsEmpty, "This API token has no PixVerse account. Add one at useapi.net: without an account no job can run.");
    const shown = jobs.slice(0, this.#limits.jobs);
    this.#lists.jobs(shown.map((job) => ({ ...job, key: `${job.type} ${job.email} ${job.id}` })));
    ui.jobsTable.hidden = !jobs.length;
    ui.jobsEmpty.hidden = jobs.length > 0;
    say(ui.jobsEmpty, capacity ? "No job executes. A job that a task or anybody else submits shows up here." : "What executes is not known.");
    this.#showMore("jobs", shown.length, running);
    const now = Date.now() + this.#skew;
    const drawn = this.#histories.get(connection).drawn(now, total);
    attribute(ui.trendLine, "d", drawn.line);
    attribute(ui.trendArea, "d", drawn.area);
    attribute(ui.trend, "aria-label", `Free slots: ${drawn.words}`);
    say(ui.trendTop, total ? String(total) : "");
    say(ui.trendFrom, drawn.span ? `${lasting(drawn.span / 1000)} ago` : "");
  }

  #showWaits() {
    const [ui, { waits, capacity, trouble }] = [this.#ui, this.#answer];
    say(ui.waitingNumber, String(waits.total));
    say(ui.waitingNote, waits.longest_since ? `longest ${lasting(this.#age(waits.longest_since))}` : "");
    const shown = waits.shown.slice(0, this.#limits.waits);
    this.#lists.waits(shown.map((wait) => ({ ...wait, key: keyOf(wait) })));
    ui.waitsTable.hidden = !waits.shown.length;
    ui.waitsEmpty.hidden = waits.shown.length > 0;
    const visible = waits.total - waits.hidden;
    if (this.#find && visible) say(ui.waitsEmpty, `None of the ${count(visible, "task")} that wait matches “${this.#find}”.`);
    else if (waits.total) say(ui.waitsEmpty, "You may not see the DAGs of those that wait.");
    else say(ui.waitsEmpty, "No task waits for a slot. One that does, with PixverseSubmitOperator or PixverseCapacitySensor, shows up here in the order in which it will be served.");
    say(ui.found, this.#find ? `${waits.found} of ${visible}` : "");
    const notes = ["In the order in which they are served."];
    if (waits.hidden && visible) notes.push(`${count(waits.hidden, "more task waits", "more tasks wait")} in DAGs that you may not see.`);
    if (capacity?.free > 0 && !trouble && waits.shown.some((wait) => wait.place)) {
      notes.push("A free slot may be kept for a task just let through.");
    }
    say(ui.waitsNote, notes.join(" "));
    this.#showMore("waits", shown.length, waits.found);
  }

  #showMore(name, shown, total) {
    const button = this.#ui[`${name}More`];
    button.hidden = shown >= Math.min(total, MOST_ROWS);
    say(button, `Show ${Math.min(MORE_ROWS, total - shown)} more of ${total}`);
  }

  #showAge() {
    const answer = this.#answer;
    if (answer?.taken_at) say(this.#ui.age, `PixVerse answered ${lasting(this.#age(answer.taken_at))} ago`);
    else say(this.#ui.age, this.#unreachable ? "No answer" : answer?.trouble ? "PixVerse has not answered yet" : "Asking …");
    if (answer && !answer.connections.length) say(this.#ui.age, "");
  }

  /** Tell a screen reader what has changed in kind: never numbers that change by themselves. */
  #speak(found) {
    const parts = found.filter(({ tone }) => tone !== "info").map(({ title }) => title);
    if (this.#find && this.#answer) parts.push(`${count(this.#answer.waits.found, "waiting task")} found`);
    if (!this.#spoken) parts.push("Page is up to date");
    const spoken = parts.join(". ") || "No warnings";
    if (spoken === this.#spoken || `${spoken}. Page is up to date` === this.#spoken) return;
    this.#spoken = spoken;
    say(this.#ui.status, spoken);
  }
}

/** Airflow itself refuses or cannot answer; `title` and `text` are for a person. */
class Refusal extends Error {
  constructor(title, text) {
    super(title);
    Object.assign(this, { title, text });
  }
}

function keyOf({ dag_id, run_id, task_id, map_index }) {
  return JSON.stringify([dag_id, run_id, task_id, map_index]);
}

function row(...cells) {
  return element("tr", { role: "row" },
    ...cells.map(([name, label, ...children]) => element("td", { role: "cell", class: name, "data-label": label }, ...children)));
}

function account() {
  const [email, state, slots, note] = [
    element("span", { class: "email" }), element("span", { class: "state" }),
    element("div", { class: "slots", "aria-hidden": "true" }), element("span", { class: "note" })];
  const showSlots = list(slots, () => {
    const node = element("i");
    return { node, update: ({ used, share }) => {
      attribute(node, "class", used ? "used" : "open");
      attribute(node, "style", share === undefined ? null : `flex-grow: ${share}`);
    } };
  });
  return {
    node: element("li", { class: "account-card" }, element("div", { class: "line" }, email, state), slots, note),
    update: (one) => {
      say(email, one.email ?? "unknown account");
      attribute(email, "title", one.email);
      say(state, one.error ? "in error" : one.free ? `${one.free} free` : "full");
      attribute(state, "class", `state ${one.error ? "bad" : one.free ? "good" : ""}`);
      say(note, `${one.executing} of ${count(one.total, "slot")} in use`);
      const used = one.total - one.free;
      showSlots(one.total <= MOST_SEGMENTS
        ? Array.from({ length: one.total }, (_, i) => ({ key: i, used: i < used }))
        : [{ key: "used", used: true, share: used }, { key: "open", used: false, share: one.free }].filter(({ share }) => share));
    },
  };
}

let page = null;

/** What Airflow's UI shows, a React component. */
function PixverseCapacity() {
  const { React, ReactRouterDOM } = globalThis;
  const navigate = ReactRouterDOM.useNavigate();
  const root = ReactRouterDOM.useHref("/");
  const place = React.useRef(null);
  page ??= new Page();
  React.useEffect(() => page.route(root, navigate), [root, navigate]);
  React.useEffect(() => page.mount(place.current), []);
  return React.createElement("div", { ref: place, style: { height: "100%", minHeight: 0 } });
}

globalThis["PixVerse capacity"] = PixverseCapacity;
