"use strict";
const rows = [...document.querySelectorAll("tr.check")].map((row) => ({ row, text: row.textContent.toLowerCase() }));
const form = document.querySelector("form.filters");
const search = document.getElementById("search");
const differing = document.getElementById("differing");
const boxes = [...document.querySelectorAll("input[name=verdict]")];
const selects = [...form.querySelectorAll("select")];
const shown = document.getElementById("shown");

function filter() {
  const wanted = search.value.trim().toLowerCase();
  const allowed = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  let count = 0;
  for (const { row, text } of rows) {
    const visible =
      (boxes.length === 0 || allowed.has(row.dataset.verdict)) &&
      (!differing || !differing.checked || row.classList.contains("changed")) &&
      selects.every((select) => select.value === "" || row.dataset[select.name] === select.value) &&
      text.includes(wanted);
    row.hidden = !visible;
    count += visible ? 1 : 0;
  }
  for (const heading of document.querySelectorAll("tr.chapter")) {
    heading.hidden = !heading.parentElement.querySelector("tr.check:not([hidden])");
  }
  shown.textContent = `${count} of ${rows.length} checks shown`;
}

function showTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.hidden) {
    form.reset();
    filter();
    target.scrollIntoView();
  }
}

form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(filter));
window.addEventListener("hashchange", showTarget);
document.addEventListener("keydown", (event) => {
  const writes = document.activeElement?.matches("input[type=search], select");
  if (event.key === "/" && !writes && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && document.activeElement === search) {
    search.value = "";
    filter();
  }
});

function fold(open) {
  for (const { row } of rows) {
    if (row.hidden) continue;
    for (const part of row.querySelectorAll("details.finding, details.more")) part.open = open;
  }
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    const range = document.createRange();
    range.selectNodeContents(button.parentElement.querySelector("code"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    button.textContent = "Selected";
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button");
  if (button?.dataset.copy !== undefined) copy(button);
  else if (button?.dataset.fold !== undefined) fold(button.dataset.fold === "open");
});
filter();
