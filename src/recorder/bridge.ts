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
/** A wait for a packet that is told. */
const longWait = 0.5
/** Time stamps that don't advance are advanced by this, so that fragments end. */
const push = 0.5
/** Those that advance by less than a quarter of the clock's time don't advance. */
const paceShare = 4
/** The longest step from packet to packet that is no pause. */
const longestStep = 3
/** Both time stamps of a packet are made by the same clock, which so stands still for a moment. */
const clock = 'floor(time(0)*50)/50'

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
  const input = { stamp: 'DTS', isUnset: 'eq(DTS,NOPTS)', t }
  const dts = [...passOn(input), ...(tellsWaits ? [tellWait] : []), 'ld(5)'].join(';')
  const shown = 'if(eq(PTS,NOPTS)+eq(DTS,NOPTS),0,max(0,PTS-DTS))'
  const pts = [...passOn(input), `ld(5)+${shown}`].join(';')
  // FFmpeg believes a packet's duration more than the next one's time stamp, where a fragment ends.
  const first = 'if(eq(DTS,NOPTS)+eq(NEXT_DTS,NOPTS),0,NEXT_DTS-DTS)'
  const step = `if(eq(N,0),${first},if(eq(PREV_INDTS,NOPTS)+eq(DTS,NOPTS),0,DTS-PREV_INDTS))`
  const steps = `st(1,ld(0));st(0,${step});if(eq(N,0),st(1,ld(0)),0)`
  const duration = `${steps};clip(min(ld(0),ld(1)),1,${longestStep}*${t})`
  const escaped = `dts=${dts}:pts=${pts}:duration=${duration}`.replaceAll(/[,;]/g, String.raw`\$&`)
  return `setts=${escaped}`
}

/** The same for decoded pictures, as a video filter. */
export function bridgePictures(): string {
  const input = { stamp: 'PTS', isUnset: 'isnan(PTS)', t: '(1/TB)' }
  return `setpts='${[...passOn(input), tellWait, 'ld(5)'].join(';')}'`
}

const tellWait = `if(gte(ld(2),${longWait}),print(-ld(2));print(ld(5)),0)`

/**
 * Variables: 0 when the last one was seen, 1 what is added, 2 the wait, 3 the time stamp, 4 the time
 * without advance, 5 the one before, as it was passed on, and then this one, 6 the last time stamp, 7
 * whether there was one, 8 what was added before the last jump, 9 this moment.
 */
function passOn({ stamp, isUnset, t }: { stamp: string; isUnset: string; t: string }): string[] {
  const isAhead = (seconds: number): string => `gt(ld(3)+ld(1),ld(5)+(ld(2)+${seconds})*${t})`
  const isBack = `lt(abs(ld(3)+ld(8)-ld(5)-ld(2)*${t}),${t})`
  const isJump = `lt(ld(3)+ld(1),ld(5)-${mostBack}*${t})+${isAhead(mostAhead)}+${isAhead(1)}*${isBack}`
  const goBack = 'st(9,ld(8));st(8,ld(1));st(1,ld(9))'
  const goOn = `st(8,ld(1));st(1,ld(5)+max(ld(2),0.001)*${t}-ld(3))`
  const jump = `if(${isBack},${goBack},${goOn})`
  const wait = `st(4,max(0,ld(4)+min(ld(2),${push})-${paceShare}*(ld(3)-ld(6))/${t}))`
  const move = `${wait};if(gt(ld(4),${push}),st(1,ld(1)+ld(4)*${t});st(4,0),0)`
  return [
    `st(9,${clock})`,
    'st(2,if(ld(7),max(0,ld(9)-ld(0)),0))',
    'st(0,ld(9))',
    `st(3,if(${isUnset},ld(6)+ld(2)*${t},${stamp}))`,
    `if(ld(7),if(${isJump},${jump},${move}),st(1,${firstSeconds}*${t}))`,
    // Not every version of FFmpeg makes time stamps rise behind a filter.
    'st(5,if(ld(7),max(ld(5)+1,ld(3)+ld(1)),ld(3)+ld(1)))',
    'st(6,ld(3))',
    'st(7,1)',
  ]
}
