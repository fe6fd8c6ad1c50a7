// Arrow keys, page keys and space go from slide to slide; everything else is the browser's own scrolling.
const slides = [...document.querySelectorAll(".slide")];
const middle = (slide) => Math.abs(slide.getBoundingClientRect().top + slide.offsetHeight / 2 - innerHeight / 2);
addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1 }[event.key];
  if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
  const here = slides.indexOf(slides.reduce((best, slide) => (middle(slide) < middle(best) ? slide : best)));
  event.preventDefault();
  slides[Math.min(slides.length - 1, Math.max(0, here + step))].scrollIntoView({ block: "center" });
});
