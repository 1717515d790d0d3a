// find.sh: where the footage of a moment is, or of a time, and how to play it; downloads it, or makes
// a clip of it. Exit code 1 where there is none.
import { systemClock } from '../daemon/clock.ts'
import { applyEnvironment, describeFault, readEnvironment } from '../daemon/environment.ts'
import { describeError } from '../daemon/logger.ts'
import { readUploaderConfig } from '../uploader/config.ts'
import { readArguments, refuse } from './arguments.ts'
import { cameraFileName, nobodyKnown } from './camera-name.ts'
import { failureText } from './failure-text.ts'
import { download, saveClip } from './fetch-footage.ts'
import { findFootage, holesIn, type Found } from './find-footage.ts'
import { foundText, nothingText, type Shown } from './find-text.ts'
import { footageOf } from './known-footage.ts'
import { readSpan } from './moment.ts'
import { seamMs, type Span } from './spans.ts'
import { StoredFootage } from './stored-footage.ts'

const usage =
  'usage: find.sh --at "2025-01-25 15:30" [--until 15:45] [--camera Front] [--expires 1h] [--json]\n' +
  '               [--download FOLDER] [--clip FILE.mp4 [--exact]]'
/** The signature of a URL holds no longer. */
const longestExpiry = 7 * 24 * 3600
const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 24 * 3600 }

interface Wish {
  asked: Span
  camera: string | undefined
  expires: number
  folder: string | undefined
  clip: string | undefined
  exact: boolean
  json: boolean
}

const aborting = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => aborting.abort())

const environment = readEnvironment()
applyEnvironment(environment)
const nowMs = systemClock.now()
const wish = readWish()
try {
  process.exitCode = await find(wish, aborting.signal)
} catch (error) {
  process.stderr.write(`✗ ${aborting.signal.aborted ? 'stopped' : failureText(error)}\n`)
  process.exitCode = 1
}

async function find(
  { asked, camera, expires, folder, clip, exact, json }: Wish,
  signal: AbortSignal,
): Promise<number> {
  const footage = footageOf(environment, nowMs)
  // A moment between two files that follow each other is in the first.
  const around = { fromMs: asked.fromMs - seamMs, toMs: asked.toMs + seamMs }
  const stretches = await footage.stretches(around)
  const wanted = camera === undefined ? undefined : cameraFileName(camera, environment)
  const isWanted = (name: string): boolean => wanted === undefined || name === wanted
  const touched = stretches.map((it) => it.camera)
  const recent = [...new Set([...(await footage.cameras()), ...touched])].sort()
  const known = recent.some(isWanted) ? recent : await footage.cameras(true)
  const cameras = known.filter(isWanted)
  if (cameras.length === 0) throw new Error(nobodyKnown(camera, known))
  const found = findFootage(stretches, asked).filter(({ stretch }) =>
    cameras.includes(stretch.camera),
  )
  const stored = storedFootage(found)
  const shown = await Promise.all(found.map(async (it) => withUrl(it, stored, expires)))
  const gaps = [...(await footage.gaps()), ...(await footage.passedOver())]
  if (json) process.stdout.write(`${JSON.stringify(shown.map(asJson), undefined, 2)}\n`)
  else
    for (const name of cameras) {
      const here = shown.filter(({ stretch }) => stretch.camera === name)
      const ofCamera = gaps.filter((gap) => gap.camera === name)
      const past = { ...asked, toMs: Math.max(asked.fromMs, Math.min(asked.toMs, nowMs)) }
      const holes = here.length === 0 ? [asked] : holesIn(here, past)
      process.stdout.write(here.map(foundText).join(''))
      for (const hole of holes)
        process.stdout.write(nothingText({ camera: name, asked: hole }, ofCamera, nowMs))
    }
  if (found.length === 0) return 1
  const say = (text: string): void => void process.stderr.write(`${text}\n`)
  const fetching = { folders: footage.folders, stored, say }
  const inTheWay = folder === undefined ? 0 : await download(found, { ...fetching, folder }, signal)
  if (clip !== undefined) await saveClip(found, { ...fetching, asked, target: clip, exact }, signal)
  return inTheWay > 0 ? 1 : 0
}

function storedFootage(found: Found[]): StoredFootage | undefined {
  const checked = readUploaderConfig(environment)
  if ('config' in checked) return new StoredFootage(checked.config.store)
  const faults = found.some(({ stretch }) => stretch.stored) ? checked.faults : []
  for (const fault of faults) process.stderr.write(`! S3 is not asked: ${describeFault(fault)}\n`)
  return undefined
}

/** With a URL that begins to play where it was asked for. */
async function withUrl(
  found: Found,
  store: StoredFootage | undefined,
  expires: number,
): Promise<Shown> {
  const line = found.stretch.stored
  if (!line || !store) return found
  const start = found.offsetSeconds > 0 ? `#t=${found.offsetSeconds.toFixed(1)}` : ''
  try {
    return { ...found, url: `${await store.urlOf(line, expires)}${start}` }
  } catch (error) {
    process.stderr.write(`! ${line.key}: no URL can be made: ${describeError(error)}\n`)
    return found
  }
}

function asJson({ stretch, offsetSeconds, untilSeconds, url }: Shown): object {
  const { camera, file, path, stored, fromMs, toMs } = stretch
  return {
    ...{ camera, file },
    ...{ from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() },
    ...{ offsetSeconds, untilSeconds, path: path ?? null },
    ...{ bucket: stored?.bucket ?? null, key: stored?.key ?? null, url: url ?? null },
  }
}

/** What is asked for; ends the program where that makes no sense. */
function readWish(): Wish {
  const { values } = readArguments(
    {
      options: {
        at: { type: 'string' },
        until: { type: 'string' },
        camera: { type: 'string' },
        expires: { type: 'string', default: '1h' },
        json: { type: 'boolean', default: false },
        download: { type: 'string' },
        clip: { type: 'string' },
        exact: { type: 'boolean', default: false },
      },
    },
    usage,
  )
  const { at, until, camera, download: folder, clip, exact, json } = values
  if (at === undefined) return refuse(usage)
  const asked = readSpan(at, until, nowMs)
  if (typeof asked === 'string') return refuse(asked)
  const expires = readSeconds(values.expires)
  if (expires === undefined) return refuse('--expires: a time like 30m, 1h or 7d, the longest')
  if (clip !== undefined && asked.toMs === asked.fromMs) return refuse('--clip needs an --until')
  if (exact && clip === undefined) return refuse('--exact is for a --clip')
  return { asked, camera, expires, folder, clip, exact, json }
}

function readSeconds(text: string): number | undefined {
  const [, number, unit = 's'] = /^(\d+)\s*([smhd])?$/.exec(text.trim()) ?? []
  const seconds = Number(number) * (unitSeconds[unit] ?? NaN)
  return seconds >= 1 && seconds <= longestExpiry ? seconds : undefined
}
