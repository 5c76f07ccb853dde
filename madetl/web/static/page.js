// Keys, the time that the answers are in view, and the comment so far. Without this script the buttons do the same.
"use strict";

(() => {
  const verdict = document.getElementById("verdict");
  const undo = document.getElementById("undo");
  const shown = performance.now();
  const settled = 300; // milliseconds: the second half of a double click is no verdict on the next pair
  let sent = false;

  const press = (form, value) => {
    const button = [...(form?.elements ?? [])].find((e) => e.type === "submit" && (!value || e.value === value));
    if (button && !button.disabled) form.requestSubmit(button);
  };
  const comment = document.getElementById("comment");
  const text = comment?.querySelector("textarea");
  const actions = {
    ArrowLeft: () => press(verdict, "first"),
    ArrowDown: () => press(verdict, "tie"),
    ArrowRight: () => press(verdict, "second"),
    b: () => press(verdict, "both_bad"),
    s: () => press(verdict, "skip"),
    u: () => press(undo),
    c: () => { if (comment) { comment.open = true; text.focus(); } },
  };
  // A keyboard of another script has its own letters on these keys.
  const letter = (event) => (/^[a-z]$/i.test(event.key) ? event.key : event.code.replace("Key", "")).toLowerCase();

  document.addEventListener("keydown", (event) => {
    if (event.target === text) {
      if (event.key === "Escape") text.blur();
      return;
    }
    if (event.repeat || event.isComposing || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const action = actions[event.key] ?? actions[letter(event)];
    if (!action || (!verdict && !undo)) return;
    event.preventDefault();
    action();
  });

  for (const form of document.forms) {
    form.addEventListener("submit", (event) => {
      if (sent || (form === verdict && performance.now() - shown < settled)) event.preventDefault();
      else sent = true;
    });
  }
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  if (!verdict) return;

  // Kept in this tab, so that a reload, the guidelines or an undo lose neither time nor words.
  const stored = `${verdict.dataset.mark}:`;
  let seconds = Number(sessionStorage.getItem(`${stored}seconds`)) || 0;
  let since = document.hidden ? null : shown;
  const count = () => {
    if (since !== null) seconds += (performance.now() - since) / 1000;
    since = document.hidden ? null : performance.now();
    sessionStorage.setItem(`${stored}seconds`, seconds);
  };
  document.addEventListener("visibilitychange", count);
  window.addEventListener("pagehide", count);
  verdict.addEventListener("submit", () => {
    count();
    verdict.elements.seconds.value = seconds.toFixed(1);
  });

  text.value = sessionStorage.getItem(`${stored}comment`) ?? "";
  comment.open = text.value !== "";
  text.addEventListener("input", () => sessionStorage.setItem(`${stored}comment`, text.value));
})();
