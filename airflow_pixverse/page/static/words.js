// Words for numbers and tasks.

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

export function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function taskName({ dag_id, task_id, map_index }) {
  return `${dag_id} › ${task_id}${map_index >= 0 ? ` [${map_index}]` : ""}`;
}

export function taskPath({ dag_id, run_id, task_id, map_index }) {
  const [dag, run, task] = [dag_id, run_id, task_id].map(encodeURIComponent);
  return `/dags/${dag}/runs/${run}/tasks/${task}${map_index >= 0 ? `/mapped/${map_index}` : ""}`;
}
