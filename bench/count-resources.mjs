// Loaded into a daemon by NODE_OPTIONS: writes every few seconds what keeps its event loop busy.
import { writeFileSync } from 'node:fs'

const file = `${process.env.RESOURCES_FILE}.${process.pid}`
setInterval(() => {
  const counts = {}
  for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1
  writeFileSync(file, JSON.stringify(counts))
}, 5000).unref()
