(() => {
  "use strict";
  const svg = document.getElementById("graph");
  const scene = document.getElementById("scene");
  const detail = document.getElementById("detail");
  const body = document.getElementById("detail-body");
  const width = +svg.dataset.width, height = +svg.dataset.height;
  const all = (selector) => document.querySelectorAll(selector);
  const LEGIBLE = 0.78, SMALL = 0.58;  // scales: well to read; still to read, if the whole graph is seen then
  const TOOLS = 46;  // room above the graph for the buttons
  let chosen = "";

  // Which elements belong to a task: looked up once.
  const parts = new Map();
  const belongs = (task, element) => {
    if (!parts.has(task)) parts.set(task, []);
    parts.get(task).push(element);
  };
  all("#graph .task").forEach((e) => {
    belongs(e.dataset.task, e);
    e.setAttribute("tabindex", "0");
    e.setAttribute("role", "button");
  });
  all("[data-tasks]").forEach((e) => e.dataset.tasks.split(" ").forEach((t) => belongs(t, e)));
  all("#graph .link, #graph .tip").forEach((e) => e.classList.forEach((c) => {
    if (/^e\d+$/.test(c)) belongs(c.slice(1), e);
  }));
  const taskOf = (node) => {
    const e = node.closest && node.closest("[data-task],[data-tasks]");
    return e ? (e.dataset.task || e.dataset.tasks.split(" ").pop()) : "";
  };

  const light = (task, on) => (parts.get(task) || []).forEach((e) => e.classList.toggle("lit", on));
  let lit = "";
  const point = (task) => {
    if (task === lit) return;
    if (lit && lit !== chosen) light(lit, false);
    lit = task;
    if (task) light(task, true);
  };
  document.addEventListener("pointerover", (event) => point(taskOf(event.target)));
  document.addEventListener("focusin", (event) => point(taskOf(event.target)));

  // Pan and zoom: the picture is drawn at most at its natural size until asked for more.
  let view = { x: 0, y: 0, k: 1 };
  const box = () => svg.getBoundingClientRect();
  const show = () => scene.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.k})`);
  const fit = (least) => {
    const { width: w, height: h } = box();
    const whole = Math.min(1, w / width, (h - TOOLS) / height);
    const k = whole >= SMALL ? whole : Math.max(least, whole);
    view = { k, x: Math.max((w - width * k) / 2, width * k > w && least ? Math.min(0, (w - width * k) / 2) : 0), y: Math.max((h - height * k) / 2, TOOLS) };
    show();
  };
  const zoom = (factor, x, y) => {
    const k = Math.min(4, Math.max(0.03, view.k * factor));
    view.x = x - (x - view.x) * (k / view.k);
    view.y = y - (y - view.y) * (k / view.k);
    view.k = k;
    show();
  };
  svg.removeAttribute("viewBox");
  // A wheel moves the graph as far as there is more of it to see, then the page.
  const within = (now, next, room, extent) => {
    const [low, high] = [Math.min(0, room - extent - 20), Math.max(20, room - extent)];
    return next < now ? Math.min(now, Math.max(next, low)) : Math.max(now, Math.min(next, high));
  };
  svg.addEventListener("wheel", (event) => {
    const { left, top, width: w, height: h } = box();
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * 0.01), event.clientX - left, event.clientY - top);
      return;
    }
    const x = within(view.x, view.x - event.deltaX, w, width * view.k);
    const y = within(view.y, view.y - event.deltaY, h, height * view.k);
    if (x === view.x && y === view.y) return;
    event.preventDefault();
    view.x = x; view.y = y; show();
  }, { passive: false });
  let drag = null, moved = false;
  svg.addEventListener("pointerdown", (event) => { drag = { x: event.clientX - view.x, y: event.clientY - view.y, x0: event.clientX, y0: event.clientY }; moved = false; });
  window.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (Math.hypot(event.clientX - drag.x0, event.clientY - drag.y0) > 4) { moved = true; svg.classList.add("drag"); }
    if (moved) { view.x = event.clientX - drag.x; view.y = event.clientY - drag.y; show(); }
  });
  window.addEventListener("pointerup", () => { drag = null; svg.classList.remove("drag"); });
  all("[data-zoom]").forEach((button) => button.addEventListener("click", () => {
    const { width: w, height: h } = box();
    if (button.dataset.zoom === "fit") fit(0);
    else zoom(button.dataset.zoom === "in" ? 1.3 : 1 / 1.3, w / 2, h / 2);
  }));
  window.addEventListener("resize", () => fit(LEGIBLE));

  // Choosing a task opens its explanation and brings it into view everywhere.
  const reveal = (task) => {
    const node = document.getElementById("t" + task);
    if (!node) return;
    const b = node.getBoundingClientRect(), f = box();
    const clear = detail.hidden || innerWidth <= 860 ? f.right : Math.min(f.right, detail.getBoundingClientRect().left);
    if (b.left < f.left || b.right > clear || b.top < f.top || b.bottom > f.bottom) {
      view.x += (f.left + clear) / 2 - (b.left + b.right) / 2;
      view.y += (f.top + f.bottom) / 2 - (b.top + b.bottom) / 2;
      show();
    }
    const line = document.querySelector(`.lines [data-task="${task}"]`);
    if (line) {
      const list = line.closest(".lines"), item = line.closest("li");
      list.scrollTop = item.offsetTop - list.offsetTop - list.clientHeight / 2;
    }
  };
  const choose = (task) => {
    if (chosen) {
      light(chosen, false);
      const before = document.getElementById("t" + chosen);
      if (before) before.classList.remove("chosen");
    }
    chosen = task;
    detail.hidden = !task;
    if (!task) { history.replaceState(null, "", location.pathname + location.search); return; }
    light(task, true);
    document.getElementById("t" + task).classList.add("chosen");
    body.replaceChildren(document.querySelector(`#why-${task} pre`).cloneNode(true));
    reveal(task);
    history.replaceState(null, "", "#task-" + task);
  };
  document.addEventListener("click", (event) => {
    if (moved) { moved = false; return; }
    if (event.target.closest("summary, details pre, .tools, #detail")) {
      if (event.target.id === "close") choose("");
      return;
    }
    const task = taskOf(event.target);
    if (task) choose(task);
    else if (event.target.closest("#graph")) choose("");
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") choose("");
    if ((event.key === "Enter" || event.key === " ") && event.target.closest(".graph .task")) {
      event.preventDefault();
      choose(taskOf(event.target));
    }
  });
  fit(LEGIBLE);
  const asked = /^#task-(\d+)$/.exec(location.hash);
  if (asked && parts.has(asked[1])) choose(asked[1]);
  const first = document.querySelector(".lines .badge");
  if (first && !asked) {
    const list = first.closest(".lines"), item = first.closest("li");
    list.scrollTop = Math.max(0, item.offsetTop - list.offsetTop - 60);
  }
})();
