// Runs before the first drawing, so that a chosen theme does not flash up in the other one.
try {
  const theme = JSON.parse(localStorage.getItem("overdub.theme"));
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // The system's choice holds.
}
