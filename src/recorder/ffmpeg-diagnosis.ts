import type { ChildEnd } from '../daemon/child.ts'
import { maskForeignUrls } from '../daemon/redact.ts'
import { addressOf, withoutCredentials } from './camera-url.ts'
import type { Camera } from './config.ts'

/** Why FFmpeg or ffprobe ended, as its user would say it. */
export interface Diagnosis {
  kind:
    | 'rejected'
    | 'not found'
    | 'refused'
    | 'busy'
    | 'no answer'
    | 'unknown host'
    | 'silent'
    | 'no video'
    | 'disk full'
    | 'folder'
    | 'format'
    | 'memory'
    | 'misleading'
    | 'program missing'
    | 'closed'
    | 'killed'
    | 'other'
  /** One sentence: what is wrong, and what to do about it. */
  text: string
}

/** The sentence is made of the place and of what the pattern's groups found. */
type Rule = [Diagnosis['kind'], RegExp, (place: Place, ...found: string[]) => string]

interface Place {
  /** `CAMERA_1_URL` */
  variable: string
  /** `CAMERA_1_TRANSPORT=tcp`, where packets come over UDP. */
  overTcp: string | undefined
  /** `192.168.1.10:554` */
  address: string
  host: string
  path: string
  /** `RTSP` */
  scheme: string
}

/** FFmpeg goes on for ever, and gives the codec's number; 12 is H.265's in many cameras. */
const unreadableFlv = /Video codec \([0-9a-f]+\) is not implemented/

const rules: Rule[] = [
  [
    'program missing',
    /unknown keyword 'option'|Unrecognized option/,
    () => 'FFmpeg is older than 5.1: run ./scripts/setup.sh, which says how to get a newer one',
  ],
  [
    'program missing',
    /failed to execute|ENOENT/,
    () => 'a program is missing: run ./scripts/setup.sh, which installs ffmpeg',
  ],
  [
    'format',
    /\[([\w,]+) @ \w+\] \[error\] Format not on whitelist '([\w,]+)'/,
    ({ scheme, variable }, format, recorded = '') =>
      `the camera sends the format ${format}, which is not recorded over ${scheme}: check the path in ${variable}, or choose one of ${recorded.replaceAll(',', ', ')} in the camera`,
  ],
  [
    'format',
    /Protocol '([\w-]+)' not on whitelist/,
    ({ address, variable }, protocol) =>
      `${address} names a ${protocol}: address as its video, which is never opened: check ${variable}`,
  ],
  [
    'memory',
    /Cannot allocate memory|malloc of size \d+ failed/,
    ({ address }) =>
      `FFmpeg needs more memory than it is given: what ${address} sends is broken, or this machine is short of memory`,
  ],
  ['disk full', /No space left on device/, () => 'the disk is full: make room on it'],
  [
    'rejected',
    /401 Unauthorized|403 Forbidden|authorization failed/i,
    ({ variable }) =>
      `the camera rejects the user or password: check ${variable} (write @ : / # in a password as %40 %3A %2F %23)`,
  ],
  [
    'not found',
    /404 (Stream )?Not Found/i,
    ({ variable, path }) =>
      `the camera has no stream ${path}: check the path in ${variable} (Reolink: /Preview_01_main, /h264Preview_01_main, /h265Preview_01_main, /Preview_01_sub)`,
  ],
  [
    'busy',
    /(failed: |HTTP error )(453|503)/,
    ({ address }) =>
      `${address} serves no further session: another program (an app, an NVR, a second recorder) may hold its last one; end that, or allow more in the camera`,
  ],
  [
    'refused',
    /Connection refused/,
    ({ address, scheme }) =>
      `${address} refuses the connection: is ${scheme} switched on in the camera (Reolink: Network > Advanced > Port), and the port right?`,
  ],
  [
    'unknown host',
    /Failed to resolve hostname|Name or service not known|Temporary failure in name resolution/,
    ({ host, variable }) =>
      `no such host as ${host}: check ${variable}, or the name server of this machine`,
  ],
  ['no video', unreadableFlv, sayUnreadable],
  // Before what FFmpeg says of waiting in vain: it is connected.
  [
    'no video',
    /matches no streams|does not contain any stream|Could not find codec parameters.*Video/,
    sayNoVideo,
  ],
  ['no answer', /timed out|No route to host|Network is unreachable|Host is down/, sayNoAnswer],
  [
    'folder',
    /Permission denied|Read-only file system|Failed to open segment|open\/.*No such file/,
    () => 'recordings/open/ cannot be written to: check its owner and permissions, and its disk',
  ],
  [
    'no answer',
    /Server returned|Invalid data found when processing input|Operation not permitted|(pipe:0|opening input): Invalid argument/,
    ({ address, variable }) =>
      `${address} answers, but sends nothing that can be recorded: check ${variable}`,
  ],
]

/** Whether a line of FFmpeg's may tell why it ends, and is no news. */
export function mayTellWhy(line: string): boolean {
  return !/\[(info|verbose|debug)\]|^ +Last message repeated/.test(line)
}

/**
 * Turns what FFmpeg wrote before it ended into one line that says what to do; `isSilent` where no
 * video had come for a while, of which not every FFmpeg has a word.
 */
export function diagnose(camera: Camera, end: ChildEnd, isSilent = false): Diagnosis {
  const place = reachedPlace(camera, end)
  if (end.signal) return { kind: 'killed', text: `FFmpeg was ended by ${end.signal}` }
  const text = end.lines.join('\n')
  for (const [kind, pattern, say] of rules) {
    const match = pattern.exec(text)
    if (match && (end.code !== 0 || tellsOfTheEnd.has(kind)))
      return { kind, text: say(place, ...match.slice(1)) }
  }
  if (end.code === 0 && isSilent)
    return { kind: 'silent', text: `${place.address} is connected, but has fallen silent` }
  if (end.code === 0)
    return { kind: 'closed', text: `the camera closed the connection (${place.address})` }
  const last = maskForeignUrls(end.lines.at(-1) ?? '')
  return { kind: 'other', text: `FFmpeg exited with ${end.code}${last ? `: ${last}` : ''}` }
}

/** What is wrong where the camera has led FFmpeg to this machine itself. */
export function misleading(camera: Camera, address: string): Diagnosis {
  const { address: from, variable } = placeOf(camera)
  const text = `${from} leads to ${address}, an address within this machine or its link: check the camera, or write that address into ${variable}`
  return { kind: 'misleading', text }
}

/** What is wrong where an FFmpeg was ended because no video had come since its start. */
export function sayWhyNoVideo(camera: Camera, lines: string[]): string {
  return unreadableFlv.test(lines.join('\n')) ? sayUnreadable() : sayNoVideo(placeOf(camera))
}

/** What is wrong where one was ended because no more video came. */
export function saySilent(camera: Camera): string {
  const { address } = placeOf(camera)
  return `${address} is connected, but has fallen silent, or FFmpeg has stalled: no new video`
}

/** What is wrong with a camera that has ended its last sessions after the same time. */
export function sayHabit(camera: Camera, afterMs: number): string {
  const other = camera.transport === 'tcp' ? 'udp' : 'tcp'
  const transport = camera.url.startsWith('rtsp')
    ? `CAMERA_${camera.number}_TRANSPORT=${other}, `
    : ''
  const seconds = Math.round(afterMs / 1000)
  return `the camera ends each session after about ${seconds} s: try ${transport}another path or newer firmware, and see whether it restarts itself`
}

/** What is wrong where a camera lets us wait for an answer. */
export function noAnswer(camera: Camera): Diagnosis {
  return { kind: 'no answer', text: sayNoAnswer(placeOf(camera)) }
}

/** What is wrong where a camera describes a stream, and sends nothing of it. */
export function noVideo(camera: Camera): Diagnosis {
  return { kind: 'no video', text: sayNoVideo(placeOf(camera)) }
}

function sayNoAnswer({ address }: Place): string {
  return `no answer from ${address}: is the camera on, and its address right (ping it)?`
}

function sayNoVideo({ path, address, overTcp }: Place): string {
  return overTcp === undefined
    ? `the camera sends no video yet on ${path}: if that stays so, choose another path, or restart the camera`
    : `no video has come from ${address} over UDP: set ${overTcp}, or let UDP through (firewall, router)`
}

function sayUnreadable(): string {
  return 'this FFmpeg cannot read the video in this FLV, H.265 probably: choose H.264 in the camera, or its RTSP URL (FFmpeg 9.0 can read it)'
}

/** An FFmpeg that ends with 0 may have complained of much before; only these say why it ended. */
const tellsOfTheEnd = new Set<Diagnosis['kind']>(['disk full', 'rejected'])

/** The place that FFmpeg could not connect to: a camera may have led it to another. */
function reachedPlace(camera: Camera, { lines }: ChildEnd): Place {
  const place = placeOf(camera)
  const [, reached] = /Connection to tcp:\/\/([^\s/?]+:\d+)\b/.exec(lines.join('\n')) ?? []
  if (reached === undefined || reached.toLowerCase() === place.address.toLowerCase()) return place
  return { ...place, address: `${reached}, to which ${place.address} leads,` }
}

function placeOf(camera: Camera): Place {
  const { hostname, protocol } = new URL(camera.url)
  const scheme = protocol.slice(0, -1)
  return {
    scheme: scheme.toUpperCase(),
    variable: `CAMERA_${camera.number}_URL`,
    overTcp:
      scheme.startsWith('rtsp') && camera.transport === 'udp'
        ? `CAMERA_${camera.number}_TRANSPORT=tcp`
        : undefined,
    host: hostname,
    address: addressOf(camera.url),
    path: withoutCredentials(camera.url).replace(/^\w+:\/\/[^/]*/, '') || '/',
  }
}
