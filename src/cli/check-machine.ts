import { accessSync, constants, existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { runChild } from '../daemon/child.ts'
import { localTime } from '../daemon/local-time.ts'
import type { Folders } from '../segments/folders.ts'
import type { Finding } from './finding.ts'
import { bytesText, durationText } from '../daemon/units.ts'

const toolAtMostMs = 5000
const oldestFfmpeg = [5, 1]

/** What FFmpeg is asked for, and what of its answer must be there. */
const features: [question: string, needed: string[]][] = [
  ['-demuxers', ['rtsp', 'concat']],
  ['-muxers', ['segment', 'mp4']],
  ['-bsfs', ['setts']],
  ['-encoders', ['aac']],
]

export async function checkNode(): Promise<Finding> {
  return { is: 'ok', subject: 'Node.js', text: process.versions.node }
}

/** Whether FFmpeg is there, new enough, and can do what is asked of it. */
export async function checkFfmpeg(encodes: boolean): Promise<Finding> {
  const subject = 'FFmpeg'
  const said = await ask('ffmpeg', '-version')
  const probe = await ask('ffprobe', '-version')
  const hint = 'run ./scripts/setup.sh, which installs it or says how'
  if (said === undefined || probe === undefined) {
    const missing = said === undefined ? 'ffmpeg' : 'ffprobe'
    return { is: 'fault', subject, text: `${missing} cannot be run: ${hint}` }
  }
  const version = /version n?(\S+)/.exec(said)?.[1] ?? 'unknown'
  const [major, minor] = version.split('.').map((part) => Number.parseInt(part))
  const [leastMajor = 0, leastMinor = 0] = oldestFfmpeg
  const isOld =
    major !== undefined &&
    (major < leastMajor || (major === leastMajor && (minor ?? 0) < leastMinor))
  if (isOld) return { is: 'fault', subject, text: `${version} is older than 5.1: ${hint}` }
  const lacking: string[] = []
  for (const [question, needed] of features) {
    const words = new Set(((await ask('ffmpeg', '-hide_banner', question)) ?? '').split(/[\s,]+/))
    const all = question === '-encoders' && encodes ? [...needed, 'libx264'] : needed
    lacking.push(...all.filter((name) => !words.has(name)))
  }
  if (lacking.length === 0) return { is: 'ok', subject, text: version }
  const text = `${version} was built without ${lacking.join(', ')}: install your system's ffmpeg`
  return { is: 'fault', subject, text }
}

/** What start.sh cannot do without, and the Debian package that has it. */
const packages = {
  lsof: 'lsof',
  flock: 'util-linux',
  setpriv: 'util-linux',
  prlimit: 'util-linux',
  npm: 'npm',
}

export async function checkTools(): Promise<Finding> {
  const subject = 'tools'
  const missing: string[] = []
  for (const tool of Object.keys(packages))
    if ((await ask('sh', '-c', 'command -v "$0"', tool)) === undefined) missing.push(tool)
  if (missing.length === 0)
    return { is: 'ok', subject, text: `${Object.keys(packages).join(', ')} are there` }
  const install = new Set(missing.map((tool) => packages[tool as keyof typeof packages]))
  const text = `missing: ${missing.join(', ')}: sudo apt-get install -y ${[...install].join(' ')}`
  return { is: 'fault', subject, text }
}

/** The first words of the clock, the zone, and how far it is from the store's. */
export function checkClock(nowMs: number, aheadMs: number | undefined): Finding {
  const subject = 'clock'
  const { date, time, offset } = localTime(nowMs)
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
  const text = `${date} ${time} ${offset} (${zone})`
  const set = 'sudo timedatectl set-ntp true'
  if (aheadMs !== undefined && Math.abs(aheadMs) > 60_000) {
    const side = aheadMs > 0 ? 'ahead of' : 'behind'
    return {
      ...{ is: 'fault', subject },
      text: `${text} is ${durationText(Math.abs(aheadMs))} ${side} that of S3, and footage is named by it: ${set}`,
    }
  }
  const isOld = nowMs < Date.parse('2025-01-01')
  if (isOld) return { is: 'fault', subject, text: `${text} is in the past: ${set}` }
  const agrees = aheadMs === undefined ? '' : ', as that of S3'
  return { is: 'ok', subject, text: `${text}${agrees}` }
}

/** Whether the folders that are there can be written to. */
export function checkFolders(folders: Folders): Finding {
  const subject = 'folders'
  const closed = Object.values<string>({ ...folders }).filter(
    (path) => existsSync(path) && !mayWrite(path),
  )
  if (closed.length === 0) return { is: 'ok', subject, text: folders.base }
  const text = `${closed.join(', ')} cannot be written to: sudo chown -R $(id -un) '${folders.base}'`
  return { is: 'fault', subject, text }
}

/** Free space, and how long it lasts while nothing reaches S3. */
export async function checkDisk(
  { recordings, base }: Folders,
  minFreeBytes: number,
  bitsPerSecond: number,
): Promise<Finding> {
  const subject = 'disk'
  let folder = recordings
  while (!existsSync(folder)) folder = dirname(folder)
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  const text = `${bytesText(free)} free at ${base}`
  if (free < minFreeBytes) {
    const least = bytesText(minFreeBytes)
    return {
      ...{ is: 'fault', subject },
      text: `${text}: less than MIN_FREE_DISK_GB (${least}): make room, or set less`,
    }
  }
  if (bitsPerSecond === 0) return { is: 'ok', subject, text }
  const lastsMs = ((free - minFreeBytes) * 8 * 1000) / bitsPerSecond
  return { is: 'ok', subject, text: `${text}: room for ${durationText(lastsMs)} without S3` }
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** What a program says; undefined where it can't be run. */
async function ask(program: string, ...args: string[]): Promise<string | undefined> {
  const { code, stdout } = await runChild([program, ...args], { atMostMs: toolAtMostMs })
  return code === 0 ? stdout : undefined
}
