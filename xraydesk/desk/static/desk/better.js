// A first proposal is on the screen: a longer search may find a better one, which takes its place unless somebody has moved on or chosen.
const READ_MS = 700;
const visit = (url) => new Promise((then) => document.dispatchEvent(new CustomEvent("desk:visit", { detail: { url, then } })));
const chosen = (form) => [...form.querySelectorAll("[type=checkbox]")].some((i) => i.checked !== i.defaultChecked);
let looking = false;
document.addEventListener("desk:tick", async () => {
  const form = document.querySelector("#rearrange[data-better]"), here = location.href;
  if (looking || !form) return;
  looking = true;
  const found = await fetch(form.dataset.better, { method: "POST", body: new FormData(form), credentials: "same-origin" }).catch(() => null);
  delete form.dataset.better;
  const now = document.getElementById("rearrange");
  if (found?.status === 200 && location.href === here && now && !chosen(now) && await visit(here)) {
    // Who is about to press Enter has read the other one.
    const accept = document.querySelector("button[form=rearrange], #rearrange .go");
    if (accept) { accept.disabled = true; setTimeout(() => { accept.disabled = false; }, READ_MS); }
  }
  looking = false;
});
