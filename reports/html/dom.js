"use strict";
// Elements from data: text is set as text, never parsed as markup.

const byId = (id) => document.getElementById(id);

// element("p", {className: "note"}, "text", otherElement)
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "data") Object.assign(made.dataset, value);
    else if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function select(label, value, options, onChange) {
  const made = element("select", {"aria-label": label});
  for (const [key, name] of options) made.append(element("option", {value: key, selected: key === value}, name));
  made.addEventListener("change", () => onChange(made.value));
  return made;
}
const labelled = (name, control) => element("label", {className: "labelled"}, element("span", {}, name), control);

const statusPill = (status) => element("span", {className: "status", data: {status}}, status);
function variantMark(variant) {
  const mark = element("span", {className: "variant-mark", "aria-hidden": "true"}, markOf(variant)[1]);
  mark.style.color = `var(--v${colourIndex(variant)})`;
  return mark;
}
const variantName = (variant) => element("span", {className: "variant"}, variantMark(variant), variant);

function copyButton(copied) {
  const button = element("button", {type: "button", className: "copy"}, "Copy");
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    try {
      await navigator.clipboard.writeText(copied);
      button.textContent = "Copied";
    } catch {
      // Not every browser lets a file reach the clipboard: the line is selected instead.
      getSelection().selectAllChildren(button.previousElementSibling);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return button;
}
const reproLine = (row) => element("div", {className: "repro"}, element("code", {}, text("repro", row)),
  copyButton(text("repro", row)));
