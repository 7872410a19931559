// A page of something that is under way: looks now and then, and shows what has changed.
(() => {
  const here = document.querySelector("[data-again]");
  if (!here) return;
  const look = async () => {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const there = answer.ok && page.getElementById(here.id);
      if (there) {
        if (there.innerHTML !== here.innerHTML) here.replaceChildren(...there.childNodes);
        if (!there.dataset.again) return;
      }
    } catch {
      // The server is away: the next look may find it.
    }
    setTimeout(look, 1000 * here.dataset.again);
  };
  setTimeout(look, 1000 * here.dataset.again);
})();
