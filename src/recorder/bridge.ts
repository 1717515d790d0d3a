/** RTP counts video in units of 1/90000 s (RFC 6184, 8.1; RFC 7798, 7.1). */
export const videoTicksPerSecond = 90_000

/** FLV counts all in milliseconds. */
export const flvTicksPerSecond = 1000

/** The rate by which the `setts` filter knows a sound stream. */
export const soundTicksPerSecond = 'SR'

/** Time stamps begin with this many seconds, so that none is ever negative. */
const firstSeconds = 10
/** A time stamp that goes further back is of another clock; what goes back less is put behind the last. */
const mostBack = 1.5
/** Or one that goes further ahead than the time that passed. */
const mostAhead = 10
/** Shortest wait that is told, in seconds. */
const longWait = 0.5
/** Time stamps that don't advance are advanced by this, so that fragments end. */
const push = 0.5
/** Those that advance by less than a quarter of the clock's time don't advance. */
const paceShare = 4
/** The longest step from packet to packet that is no pause. */
const longestStep = 3
/** Both time stamps of a packet are made by the same clock, which so stands still for a moment; it counts these. */
const clockRate = 50
const clock = `floor(time(0)*${clockRate})`
/** Largest wait for a usual packet, as a multiple of the step of its time stamp. */
const usualLate = 2
/** Largest step of a usual packet's time stamp, in seconds: with it no wait of a usual packet is told. */
const usualStep = 0.24

/**
 * A bitstream filter for time stamps as FFmpeg can work with them: it bridges those that jump back,
 * or ahead by more than any pause, as if the camera had paused, and moves on those that stand still.
 * Everything else is left for hindsight: see timing/.
 *
 * With `tellsWaits` FFmpeg logs at each wait of half a second two numbers: the seconds, negative, and
 * the time stamp of the packet that it passes on then.
 */
export function bridgePackets(
  ticksPerSecond: number | string,
  { tellsWaits }: { tellsWaits: boolean },
): string {
  const t = String(ticksPerSecond)
  const isUnset = (name: string): string => `eq(${name},NOPTS)`
  const names = { stamp: 'DTS', lastIn: 'PREV_INDTS', lastOut: 'PREV_OUTDTS', isUnset, t }
  const dts = passOn(names, { tellsWaits })
  const pts = `${passOn(names, { tellsWaits: false })}+if(${isUnset('DTS')},0,max(0,PTS-DTS))`
  // FFmpeg believes a packet's duration more than the next one's time stamp, where a fragment ends.
  const step = (from: string, to: string): string =>
    `if(${isUnset(from)}+${isUnset(to)},0,${to}-${from})`
  const first = `st(0,${step('DTS', 'NEXT_DTS')});st(1,ld(0))`
  const others = `st(1,ld(0));st(0,${step('PREV_INDTS', 'DTS')})`
  const duration = `if(N,${others},${first});clip(min(ld(0),ld(1)),1,${longestStep}*${t})`
  const escaped = `dts=${dts}:pts=${pts}:duration=${duration}`.replaceAll(/[,;]/g, String.raw`\$&`)
  return `setts=${escaped}`
}

/** The same for decoded pictures, as a video filter. */
export function bridgePictures(): string {
  const isUnset = (name: string): string => `isnan(${name})`
  const names = { stamp: 'PTS', lastIn: 'PREV_INPTS', lastOut: 'PREV_OUTPTS', isUnset, t: '(1/TB)' }
  return `setpts='${passOn(names, { tellsWaits: true })}'`
}

/** FFmpeg's names for what a filter knows of a packet. */
interface Names {
  /** The packet's time stamp. */
  stamp: string
  /** The last packet's time stamp, as it came and as it was passed on. */
  lastIn: string
  lastOut: string
  isUnset: (name: string) => string
  /** Units of time in a second. */
  t: string
}

/**
 * An expression for the time stamp that is passed on. FFmpeg evaluates it for each packet, with cold
 * caches: for a usual one it is short.
 *
 * Variables: 0 when the last one was seen, 1 what is added, 2 the wait, 3 the time stamp, 4 the time
 * without advance, 6 the last time stamp, 8 what was added before the last jump, 9 this moment.
 */
function passOn(
  { stamp, lastIn, lastOut, isUnset, t }: Names,
  { tellsWaits }: { tellsWaits: boolean },
): string {
  const isAhead = (seconds: number): string => `gt(ld(3)+ld(1),${lastOut}+(ld(2)+${seconds})*${t})`
  const isBack = `lt(abs(ld(3)+ld(8)-${lastOut}-ld(2)*${t}),${t})`
  const isJump = `lt(ld(3)+ld(1),${lastOut}-${mostBack}*${t})+${isAhead(mostAhead)}+${isAhead(1)}*${isBack}`
  const goBack = 'st(9,ld(8));st(8,ld(1));st(1,ld(9))'
  const goOn = `st(8,ld(1));st(1,${lastOut}+max(ld(2),0.001)*${t}-ld(3))`
  const jump = `if(${isBack},${goBack},${goOn})`
  const wait = `st(4,max(0,ld(4)+min(ld(2),${push})-${paceShare}*(ld(3)-ld(6))/${t}))`
  const move = `${wait};if(gt(ld(4),${push}),st(1,ld(1)+ld(4)*${t});st(4,0),0)`
  // Not every version of FFmpeg makes time stamps rise behind a filter.
  const out = (input: string): string => `max(${lastOut}+1,${input}+ld(1))`
  const look = [
    `st(2,if(N,max(0,ld(9)-ld(0))/${clockRate},0))`,
    'st(0,ld(9))',
    `st(6,if(${isUnset(lastIn)},ld(6),${lastIn}))`,
    `st(3,if(${isUnset(stamp)},ld(6)+ld(2)*${t},${stamp}))`,
    `if(N,if(${isJump},${jump},${move}),st(1,${firstSeconds}*${t}))`,
    'st(6,ld(3))',
    ...(tellsWaits ? [`if(gte(ld(2),${longWait}),print(-ld(2));print(${out('ld(3)')}),0)`] : []),
    out('ld(3)'),
  ]
  const least = `max(1,(ld(9)-ld(0))*${t}/${clockRate * usualLate})`
  const isUsual = `not(ld(4))*between(${stamp}-${lastIn},${least},${usualStep}*${t})`
  return `st(9,${clock});if(${isUsual},st(0,ld(9));${out(stamp)},${look.join(';')})`
}
