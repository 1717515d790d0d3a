// npm run bench [-- recording shipping running] [--seconds 60]: measures, prints, and rewrites the
// figures of docs/performance.md.
import { parseArgs } from 'node:util'
import { tableOf, writeTable, type Figure } from './figures.ts'
import { measureRecording } from './recording.ts'
import { measureRunning } from './running.ts'
import { measureShipping } from './shipping.ts'

const parts: Record<string, (seconds: number) => Promise<Figure[]>> = {
  recording: measureRecording,
  shipping: measureShipping,
  running: measureRunning,
}
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '60' } },
})
for (const part of positionals.length > 0 ? positionals : Object.keys(parts)) {
  const measure = parts[part]
  if (!measure) throw new Error(`no part ${part}; there are ${Object.keys(parts).join(', ')}`)
  const figures = await measure(Number(values.seconds))
  process.stdout.write(`\n${part}\n${tableOf(figures)}\n`)
  writeTable(part, figures)
}
