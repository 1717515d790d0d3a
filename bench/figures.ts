import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { projectRoot } from '../src/daemon/environment.ts'

/** One thing measured, beside what was aimed at. */
export interface Figure {
  what: string
  measured: string
  bar?: string
  reached?: boolean
}

/** A figure that is to be at most so much. */
export function atMost(what: string, value: number, most: number, unit = '', note = ''): Figure {
  const measured = `${tidy(value)}${unit}${note && ` (${note})`}`
  return { what, measured, bar: `≤ ${most}${unit}`, reached: value <= most }
}

export function tidy(value: number): string {
  return Number(value.toPrecision(3)).toString()
}

export function median(values: number[]): number {
  return percentile(values, 50)
}

export function percentile(values: number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const place = Math.ceil((percent / 100) * sorted.length) - 1
  return sorted[Math.max(0, place)] ?? NaN
}

export function tableOf(figures: Figure[]): string {
  const rows = figures.map(({ what, measured, bar = '', reached }) => {
    const mark = reached === undefined ? '' : reached ? ' ✓' : ' ✗'
    return `| ${what} | ${measured} | ${bar}${mark} |`
  })
  return ['| figure | measured | bar |', '|---|---|---|', ...rows].join('\n')
}

/** Puts a table in the place of the one that docs/performance.md had under this name. */
export function writeTable(name: string, figures: Figure[]): void {
  const file = join(projectRoot, 'docs', 'performance.md')
  const text = readFileSync(file, 'utf8')
  const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`]
  const before = text.slice(0, text.indexOf(begin))
  const after = text.slice(text.indexOf(end))
  if (!text.includes(begin) || !text.includes(end)) throw new Error(`${file} lacks ${begin}`)
  writeFileSync(file, `${before}${begin}\n\n${machine()}\n\n${tableOf(figures)}\n\n${after}`)
}

/** Where and when something was measured. */
function machine(): string {
  const [cpu] = cpus()
  const ffmpeg = /version (\S+)/.exec(execFileSync('ffmpeg', ['-version']).toString())?.[1]
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`
  const date = new Date().toISOString().slice(0, 10)
  return `${date}, ${cpus().length} × ${cpu?.model.trim()}, ${memory}, Node.js ${process.versions.node}, FFmpeg ${ffmpeg}`
}
