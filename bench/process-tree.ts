import { readdirSync, readFileSync } from 'node:fs'

/** Of /proc/PID/stat; Linux fixes it for all programs. */
const ticksPerSecond = 100

/** What a process and everything that it has started have cost so far, or hold at the moment. */
export interface Cost {
  cpuSeconds: number
  /** Of the first process alone, what it has reaped left out. */
  ownCpuSeconds: number
  /** The most that the first process ever had. */
  peakRssBytes: number
  /** What it has caused to be sent to the disk. */
  writtenBytes: number
  processes: number
}

/** The cost of the trees below these processes; those that have ended and were reaped count. */
export function costOf(roots: number[]): Cost {
  const pids = [...new Set(roots.flatMap((root) => [root, ...descendants(root)]))]
  const all = pids.map(statOf).filter((stat) => stat !== undefined)
  const first = roots.map(statOf).filter((stat) => stat !== undefined)
  const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0)
  return {
    cpuSeconds: sum(all.map(({ own, reaped }) => own + reaped)) / ticksPerSecond,
    ownCpuSeconds: sum(first.map(({ own }) => own)) / ticksPerSecond,
    peakRssBytes: sum(first.map(({ pid }) => statusBytes(pid, 'VmHWM'))),
    writtenBytes: sum(all.map(({ pid }) => writtenBytes(pid))),
    processes: all.length,
  }
}

/** The memory that ends with the processes that one has started: what they share counts in parts. */
export function childBytes(pid: number): number {
  const shares = descendants(pid).map((child) => {
    const [, kilobytes] = /^Pss:\s+(\d+) kB/m.exec(read(`/proc/${child}/smaps_rollup`)) ?? []
    return Number(kilobytes ?? 0) * 1024
  })
  return shares.reduce((total, bytes) => total + bytes, 0)
}

function descendants(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).trim().split(' ')
  return children.filter(Boolean).flatMap((child) => [Number(child), ...descendants(Number(child))])
}

function statOf(pid: number): { pid: number; own: number; reaped: number } | undefined {
  // Its name, in brackets, may hold anything.
  const fields = read(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ') ?? []
  if (fields.length < 15) return undefined
  const [user = 0, system = 0, reapedUser = 0, reapedSystem = 0] = fields.slice(11, 15).map(Number)
  return { pid, own: user + system, reaped: reapedUser + reapedSystem }
}

function statusBytes(pid: number, field: string): number {
  const [, kilobytes] =
    new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(read(`/proc/${pid}/status`)) ?? []
  return Number(kilobytes ?? 0) * 1024
}

function writtenBytes(pid: number): number {
  return Number(/^write_bytes: (\d+)/m.exec(read(`/proc/${pid}/io`))?.[1] ?? 0)
}

/** How many files a process has open. */
export function openFilesOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it has ended
  }
}
