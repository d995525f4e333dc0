"use strict";
const rows = [...document.querySelectorAll("tr.check")];
const search = document.getElementById("search");
const differing = document.getElementById("differing");
const boxes = [...document.querySelectorAll("input[name=verdict]")];
const shown = document.getElementById("shown");

function filter() {
  const wanted = search.value.trim().toLowerCase();
  const allowed = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  let count = 0;
  for (const row of rows) {
    const fits = boxes.length === 0 || allowed.has(row.dataset.verdict);
    const differs = !differing || !differing.checked || row.classList.contains("changed");
    const visible = fits && differs && row.textContent.toLowerCase().includes(wanted);
    row.hidden = !visible;
    count += visible ? 1 : 0;
  }
  for (const heading of document.querySelectorAll("tr.chapter")) {
    heading.hidden = !heading.parentElement.querySelector("tr.check:not([hidden])");
  }
  shown.textContent = `${count} of ${rows.length} checks shown`;
}

search.addEventListener("input", filter);
for (const box of [...boxes, differing].filter(Boolean)) box.addEventListener("change", filter);
document.querySelector("form.filters").addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && document.activeElement === search) {
    search.value = "";
    filter();
  }
});
document.addEventListener("click", async (event) => {
  const text = event.target.dataset?.copy;
  if (text === undefined) return;
  try {
    await navigator.clipboard.writeText(text);
    event.target.textContent = "Copied";
  } catch {
    const range = document.createRange();
    range.selectNodeContents(event.target.previousElementSibling);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    event.target.textContent = "Selected";
  }
});
filter();
