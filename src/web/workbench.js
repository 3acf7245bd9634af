// The workbench of a relationship manager: their list, a task, its result. Everything goes through /v1, as any other client's calls do.
"use strict";

const $ = (id) => document.getElementById(id);
const KEY = "touchline-token";
let open = null; // the task on show
let next = null; // where the list goes on

function say(text, bad) {
  $("notice").textContent = text;
  $("notice").className = bad ? "bad" : "good";
  $("notice").hidden = text === "";
}

async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(KEY)}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method === "POST") headers["Idempotency-Key"] = crypto.randomUUID();
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  const document = text === "" ? null : JSON.parse(text);
  if (answer.ok) return document;
  if (answer.status === 401) signOut();
  const faults = (document.faults || []).map((f) => f.message).join("; ");
  throw new Error(faults === "" ? document.detail : faults);
}

/** Runs what a click asks for, and tells what went wrong. */
function doing(work) {
  return (event) => {
    if (event) event.preventDefault();
    say("");
    work().catch((e) => say(e.message, true));
  };
}

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const local = (instant) => (instant ? new Date(instant).toLocaleString() : "");

function signOut() {
  sessionStorage.removeItem(KEY);
  $("desk").hidden = true;
  $("sign-in").hidden = false;
  $("who").textContent = "";
}

async function signIn() {
  const me = await call("GET", "/v1/me");
  $("who").textContent = me.rm ? `${me.name} (${me.rm})` : me.name;
  $("sign-in").hidden = true;
  $("desk").hidden = false;
  await list(false);
}

async function list(more) {
  const query = new URLSearchParams({ limit: "50" });
  if ($("state").value !== "") query.set("state", $("state").value);
  if (more && next !== null) query.set("after", String(next));
  const page = await call("GET", `/v1/worklist?${query}`);
  next = page.next;
  $("more").hidden = next === null;
  const lines = page.tasks.map((task) => {
    const line = element("li");
    const button = element("button", task.title, "title");
    button.type = "button";
    button.addEventListener("click", doing(() => show(task.id)));
    line.append(button, element("span", `${task.customer} · due ${local(task.due_at)} · priority ${task.priority}`, "may"));
    if (task.escalated_at) line.append(element("span", "missed", "mark bad"));
    else if (task.reminded_at) line.append(element("span", "soon", "mark warn"));
    if (task.mine) line.append(element("span", "mine", "mark good"));
    return line;
  });
  if (!more) $("tasks").replaceChildren();
  $("tasks").append(...lines);
  if (!more && lines.length === 0) $("tasks").append(element("li", "Nothing is waiting.", "may"));
}

function show_view(task) {
  open = task;
  $("task").hidden = false;
  $("task-title").textContent = task.title;
  const contact = task.contact || {};
  const facts = [
    ["customer", task.customer], ["state", task.state], ["due", local(task.due_at)], ["claimed until", local(task.claimed_until)],
    ["telephone", contact.phone], ["e-mail", contact.email], ["customer's clock", contact.timezone], ["language", contact.language],
    ["held until", local(task.held_until)],
  ];
  $("facts").replaceChildren(...facts.filter(([, v]) => v).flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  $("script").textContent = task.script || "There is no script.";
  const closed = !["open", "claimed"].includes(task.state);
  $("claim").disabled = closed;
  $("release").disabled = !task.mine;
  $("result").hidden = closed;
  $("timeline").replaceChildren(...(task.timeline || []).map((t) => {
    const row = element("tr");
    row.append(element("td", local(t.at)), element("td", t.campaign), element("td", t.channel), element("td", `${t.state}: ${t.reason}`));
    return row;
  }));
  $("history").replaceChildren(...(task.history || []).map((h) => element("li", `${local(h.at)} ${h.what} by ${h.by} ${h.why}`)));
}

async function show(id) {
  show_view(await call("GET", `/v1/worklist/${id}`));
  const checkpoints = await call("GET", `/v1/customers/${encodeURIComponent(open.customer)}/checkpoints`).catch(() => []);
  const openOnes = checkpoints.filter((c) => !c.closed).map((c) => element("li", `${c.name}: ${c.step} (on ${c.left_on}, ${local(c.at)})`));
  $("checkpoints").replaceChildren(...(openOnes.length > 0 ? openOnes : [element("li", "Nothing is left unfinished.", "may")]));
}

async function onTask(verb, body) {
  const answer = await call("POST", `/v1/worklist/${open.id}/${verb}`, body);
  show_view(answer.task || answer);
  await list(false);
  return answer;
}

$("sign-in").addEventListener("submit", doing(async () => {
  sessionStorage.setItem(KEY, $("token").value.trim());
  $("token").value = "";
  await signIn();
}));
$("sign-out").addEventListener("click", signOut);
$("refresh").addEventListener("click", doing(() => list(false)));
$("more").addEventListener("click", doing(() => list(true)));
$("state").addEventListener("change", doing(() => list(false)));
$("claim").addEventListener("click", doing(async () => { await onTask("claim"); say("It is yours."); }));
$("release").addEventListener("click", doing(async () => { await onTask("release"); say("It is back on the list."); }));
$("result").addEventListener("submit", doing(async () => {
  const notes = $("notes").value.trim();
  await onTask("result", { disposition: $("disposition").value, connected_s: 60 * Number($("minutes").value), notes: notes === "" ? null : notes });
  $("notes").value = "";
  say("It is on record.");
}));
$("callback").addEventListener("submit", doing(async () => {
  const wish = await call("POST", `/v1/worklist/${open.id}/callback`, { local_time: $("callback-at").value });
  await list(false);
  say(`The call is due at ${wish.local_time}.`);
}));
$("hold").addEventListener("submit", doing(async () => {
  const until = new Date($("hold-until").value).toISOString();
  const held = await call("POST", `/v1/customers/${encodeURIComponent(open.customer)}/hold`, { until, why: $("hold-why").value });
  await show(open.id);
  say(`Everything else waits until ${local(held.held_until)}.`);
}));
$("lift").addEventListener("click", doing(async () => {
  await call("DELETE", `/v1/customers/${encodeURIComponent(open.customer)}/hold`);
  await show(open.id);
  say("Nothing is held any more.");
}));

// The list refreshes itself every half minute while somebody looks at it: reminders and new tasks come without a click.
setInterval(() => { if (!document.hidden && !$("desk").hidden) list(false).catch(() => {}); }, 30000);
if (sessionStorage.getItem(KEY)) doing(signIn)(); else signOut();
