// Plays back what an explorer drew. Settings are places in the recorded values; a frame is [picture, sentence].

function nearest(frames, wanted, moved) {
  // The recorded settings that keep the control just moved and change the fewest others.
  let best = null, least = Infinity;
  for (const key of Object.keys(frames)) {
    const places = key.split(",").map(Number);
    if (moved !== null && places[moved] !== wanted[moved]) continue;
    const away = places.reduce((sum, place, i) => sum + (place !== wanted[i]) * 1000 + Math.abs(place - wanted[i]), 0);
    if (away < least) [best, least] = [places, away];
  }
  return best;
}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function play(box, number) {
  const data = JSON.parse(box.querySelector("script").textContent);
  const picture = element("img", { width: data.size[0], height: data.size[1], decoding: "sync" });
  const frame = element("div", { class: "frame" }, picture);
  const sentence = element("p", { "aria-live": "polite" });
  const rows = data.controls.map((control, i) => row(control, i));
  let now = data.start;

  function show(wanted, moved = null) {
    now = nearest(data.frames, wanted, moved) ?? now;
    const [file, said] = data.frames[now.join(",")];
    picture.src = data.folder + file;
    picture.alt = said;
    sentence.textContent = said;
    rows.forEach((one, i) => one.set(now[i]));
  }

  function move(i, place) {
    show(now.map((one, j) => (j === i ? place : one)), i);
  }

  function row(control, i) {
    const last = control.values.length - 1;
    if (control.kind === "Slider") {
      const input = element("input", { type: "range", min: 0, max: last, step: 1, "aria-label": control.name });
      const output = element("output", {});
      input.addEventListener("input", () => move(i, Number(input.value)));
      const set = (place) => {
        input.value = place;
        input.setAttribute("aria-valuetext", (output.textContent = control.values[place]));
      };
      return { set, shown: element("label", {}, element("span", {}, control.name), input, output) };
    }
    const inputs = control.values.map((_, place) => {
      const input = element("input", { type: "radio", name: `playback-${number}-${i}` });
      input.addEventListener("change", () => move(i, place));
      return input;
    });
    const labels = inputs.map((input, place) => element("label", {}, input, control.values[place] || "(empty)"));
    const shown = element("fieldset", {}, element("legend", {}, control.name), ...labels);
    return { set: (place) => (inputs[place].checked = true), shown };
  }

  const buttons = Object.entries({ ...data.presets, Reset: data.start }).map(([name, places]) => {
    const button = element("button", { type: "button" }, name);
    button.addEventListener("click", () => show(places));
    return button;
  });
  box.replaceChildren(...rows.map((one) => one.shown), element("div", {}, ...buttons), frame, sentence);
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `Explorer: ${data.name}`);
  show(now);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".playback").forEach(play);
  for (const wide of document.querySelectorAll(".frame, .cell_output")) // what is cut off scrolls, also by keys
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
});
