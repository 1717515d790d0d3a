import type { ChildEnd } from '../daemon/child.ts'
import { defaultPorts, withoutCredentials } from './camera-url.ts'
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
    | 'program missing'
    | 'closed'
    | 'killed'
    | 'other'
  /** One sentence: what is wrong, and what to do about it. */
  text: string
}

type Rule = [Diagnosis['kind'], RegExp, (place: Place) => string]

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
    (place) => sayNoVideo(place),
  ],
  [
    'no answer',
    /timed out|No route to host|Network is unreachable|Host is down/,
    ({ address }) =>
      `no answer from ${address}: is the camera on, and its address right (ping it)?`,
  ],
  [
    'folder',
    /Permission denied|Read-only file system|Failed to open segment|open\/.*No such file/,
    () => 'recordings/open/ cannot be written to: check its owner and permissions, and its disk',
  ],
  [
    'no answer',
    /Server returned|Invalid data found when processing input|Operation not permitted/,
    ({ address, variable }) =>
      `${address} answers, but sends nothing that can be recorded: check ${variable}`,
  ],
]

/**
 * Turns what FFmpeg wrote before it ended into one line that says what to do; `isSilent` where no
 * video had come for a while, of which not every FFmpeg has a word.
 */
export function diagnose(camera: Camera, end: ChildEnd, isSilent = false): Diagnosis {
  const place = placeOf(camera)
  if (end.signal) return { kind: 'killed', text: `FFmpeg was ended by ${end.signal}` }
  const text = end.lines.join('\n')
  for (const [kind, pattern, say] of rules)
    if (pattern.test(text) && (end.code !== 0 || tellsOfTheEnd.has(kind)))
      return { kind, text: say(place) }
  if (end.code === 0 && isSilent)
    return { kind: 'silent', text: `${place.address} is connected, but has fallen silent` }
  if (end.code === 0)
    return { kind: 'closed', text: `the camera closed the connection (${place.address})` }
  const last = end.lines.at(-1)
  return { kind: 'other', text: `FFmpeg exited with ${end.code}${last ? `: ${last}` : ''}` }
}

/** What is wrong where an FFmpeg was ended because no video had come for so long. */
export function sayWhyNoVideo(camera: Camera, lines: string[], afterMs: number): string {
  const place = placeOf(camera)
  if (unreadableFlv.test(lines.join('\n'))) return sayUnreadable()
  return sayNoVideo(place, Math.floor(afterMs / 1000))
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

function sayNoVideo({ path, address, overTcp }: Place, seconds?: number): string {
  const within = seconds === undefined ? '' : ` within ${seconds} s`
  if (overTcp !== undefined)
    return `no video has come from ${address} over UDP${within}: set ${overTcp}, or let UDP through (firewall, router)`
  const sends = seconds === undefined ? 'sends no video yet' : `has sent no video${within}`
  return `the camera ${sends} on ${path}: if that stays so, choose another path, or restart the camera`
}

function sayUnreadable(): string {
  return 'this FFmpeg cannot read the video in this FLV, H.265 probably: choose H.264 in the camera, or its RTSP URL (FFmpeg 9.0 can read it)'
}

/** An FFmpeg that ends with 0 may have complained of much before; only these say why it ended. */
const tellsOfTheEnd = new Set<Diagnosis['kind']>(['disk full', 'rejected'])

function placeOf(camera: Camera): Place {
  const { hostname, port, protocol } = new URL(camera.url)
  const scheme = protocol.slice(0, -1)
  return {
    scheme: scheme.toUpperCase(),
    variable: `CAMERA_${camera.number}_URL`,
    overTcp:
      scheme.startsWith('rtsp') && camera.transport === 'udp'
        ? `CAMERA_${camera.number}_TRANSPORT=tcp`
        : undefined,
    host: hostname,
    address: `${hostname}:${port || defaultPorts[scheme]}`,
    path: withoutCredentials(camera.url).replace(/^\w+:\/\/[^/]*/, '') || '/',
  }
}
