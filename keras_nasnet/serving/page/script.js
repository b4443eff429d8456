"use strict";

const TOP = 5, SIDE = 1600, SMALL_BYTES = 1_000_000;
const by = (id) => document.getElementById(id);
const drop = by("drop"), files = by("files"), results = by("results"), state = by("status");
let about = null, token = sessionStorage.getItem("token"), last = Promise.resolve();

function say(text, isWrong = false) {
  state.textContent = text;
  state.classList.toggle("wrong", isWrong);
}

/** What the server answers, as JSON; an error has its message. */
async function ask(path, options = {}) {
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server does not answer. Is it running?");
  }
  const content = await answer.json().catch(() => ({}));
  if (answer.status === 401) by("token").hidden = false;
  if (!answer.ok) throw new Error(content.error?.message ?? `The server says ${answer.status}`);
  return content;
}

async function meet() {
  try {
    about = await ask("model");
  } catch (error) {
    by("model").textContent = "";
    if (by("token").hidden) return say(error.message, true);
    by("token-text").focus();
    if (token) say("That is not the server's token.", true);
    return;
  }
  by("token").hidden = true;
  say("");
  const [height, width] = about.input_size, count = about.classes.length.toLocaleString();
  const facts = [`${count} classes`, about.card.network, about.card["validation accuracy"]
    && `${about.card["validation accuracy"]} of validation images right`];
  by("model").textContent = [about.name, ...facts].filter(Boolean).join(" · ");
  document.documentElement.style.setProperty("--ratio", `${width} / ${height}`);
  by("maps").textContent = about.features
    ? "Bright parts of a photograph spoke for the class that is chosen; choose another to see its own."
    : `Which parts of a photograph spoke for a class is not shown: ${about.why_no_features}.`;
}

/** A photograph that is not too large to send over a phone's connection. */
async function shrunk(file) {
  if (file.size <= SMALL_BYTES) return file;
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const side = Math.max(SIDE, 2 * Math.max(...about.input_size));
    const scale = side / Math.min(bitmap.width, bitmap.height);
    if (scale >= 1) return file;
    const canvas = new OffscreenCanvas(bitmap.width * scale, bitmap.height * scale);
    const context = canvas.getContext("2d");
    context.fillStyle = "white"; // as the server makes transparent parts
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
  } catch {
    return file; // no picture for the browser, or too large: the server says what it is
  }
}

function add(file) {
  const item = by("result").content.firstElementChild.cloneNode(true);
  const picture = item.querySelector(".picture"), image = item.querySelector("img");
  picture.style.aspectRatio = "var(--ratio)";
  image.src = URL.createObjectURL(file);
  image.alt = file.name;
  image.onload = () => URL.revokeObjectURL(image.src);
  image.onerror = () => picture.classList.add("broken");
  item.querySelector("figcaption bdi").textContent = file.name;
  results.prepend(item);
  document.body.classList.add("has-results");
  return item;
}

function percent(probability) {
  return probability.toLocaleString(undefined, { style: "percent", minimumFractionDigits: 1 });
}

function show(item, predictions) {
  const list = document.createElement("ol");
  for (const { class: name, probability, map } of predictions) {
    const entry = by("prediction").content.firstElementChild.cloneNode(true);
    const button = entry.querySelector("button");
    button.querySelector("bdi").textContent = name;
    button.querySelector(".percent").textContent = percent(probability);
    button.querySelector(".bar span").style.width = `${100 * probability}%`;
    button.disabled = !map;
    button.onclick = () => {
      const isShown = button.getAttribute("aria-pressed") === "true";
      for (const each of list.querySelectorAll("button")) each.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-pressed", String(!isShown));
      const canvas = item.querySelector("canvas");
      canvas.hidden = isShown;
      if (!isShown) paint(canvas, map);
    };
    if (!map) button.removeAttribute("aria-pressed");
    list.append(entry);
  }
  item.querySelector(".answer").replaceChildren(list);
  const first = list.querySelector("button:not(:disabled)");
  if (first) first.click();
}

function fail(item, message) {
  const text = document.createElement("p");
  text.className = "wrong";
  text.textContent = message;
  item.querySelector(".answer").replaceChildren(text);
}

// Of matplotlib's inferno, from what does not speak for the class to what does.
const COLORS = [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10],
  [252, 255, 164]];

function paint(canvas, map) {
  const height = map.length, width = map[0].length, most = Math.max(...map.flat(), 1e-12);
  const small = new OffscreenCanvas(width, height), context = small.getContext("2d");
  const pixels = context.createImageData(width, height);
  map.flat().forEach((value, i) => {
    const place = Math.max(value, 0) / most * (COLORS.length - 1);
    const low = Math.min(Math.floor(place), COLORS.length - 2);
    for (let c = 0; c < 3; c++) {
      const [from, to] = [COLORS[low][c], COLORS[low + 1][c]];
      pixels.data[4 * i + c] = from + (to - from) * (place - low);
    }
    pixels.data[4 * i + 3] = 255;
  });
  context.putImageData(pixels, 0, 0);
  canvas.width = 32 * width;
  canvas.height = 32 * height;
  const large = canvas.getContext("2d");
  large.imageSmoothingQuality = "high";
  large.drawImage(small, 0, 0, canvas.width, canvas.height);
}

async function classify(file, item) {
  const sent = await shrunk(file);
  if (sent.size > about.limits.max_bytes) {
    throw new Error(`The file is too large: at most ${(about.limits.max_bytes / 2 ** 20).toFixed(0)} MiB`);
  }
  const body = new FormData();
  body.append("images", sent, file.name);
  const path = `predict?top=${TOP}${about.features ? "&maps=1" : ""}`;
  const { images: [image] } = await ask(path, { method: "POST", body });
  show(item, image.predictions);
}

/** Classifies files one after another, so that many are no burden. */
function take(list) {
  const pictures = [...list].filter((each) => each instanceof File);
  if (!pictures.length) return;
  if (!about) return say("The model is not there yet.", true);
  const entries = pictures.reverse().map((file) => [file, add(file)]).reverse(); // first on top
  let left = entries.length, failed = 0;
  for (const [file, item] of entries) {
    last = last.then(async () => {
      say(left > 1 ? `${left} photographs to look at…` : "Looking…");
      try {
        await classify(file, item);
      } catch (error) {
        failed += 1;
        fail(item, error.message);
      }
      left -= 1;
      if (!left) say(failed ? `${failed} of ${entries.length} could not be classified.` : "Done.");
    });
  }
}

files.onchange = () => { take(files.files); files.value = ""; };
document.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
document.ondragleave = (event) => { if (!event.relatedTarget) drop.classList.remove("over"); };
document.ondrop = (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take(event.dataTransfer.files);
};
document.onpaste = (event) => {
  if (event.clipboardData.files.length) event.preventDefault();
  take(event.clipboardData.files);
};
by("token").onsubmit = (event) => {
  event.preventDefault();
  token = by("token-text").value;
  sessionStorage.setItem("token", token);
  meet();
};
meet();
