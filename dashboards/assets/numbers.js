"use strict";
// Numbers that a page works out itself, written as in the tables: see runner/report/quantities.py.
const lockstepNumbers = (() => {
  const DECIMALS = 9; // of a ratio at most
  const fixed = (number, decimals) => {
    // Half way between two, toFixed takes the larger one, and the tables the even one.
    const even = /^(.*[02468])\.?50{29}$/.exec(number.toFixed(decimals + 30));
    const text = even ? even[1] : number.toFixed(decimals);
    return decimals ? text : text.replace(/\B(?=(\d{3})+$)/g, ",");
  };
  const three = (number) => {
    let whole = Math.floor(Math.log10(number));
    if (Number(number.toFixed(Math.max(0, 2 - whole))) >= 10 ** (whole + 1)) whole += 1;
    return fixed(number, Math.max(0, 2 - whole));
  };
  const short = (number) => number.toExponential(0).replace(/\+(\d)$/, "+0$1");
  const times = (number) => number >= 1e9 ? short(number) : number >= 1000 ? fixed(number, 0) : three(number);
  const plain = (number, decimals) => number <= 0 ? "0" : number < 0.1 ? `1/${times(1 / number)}`
    : number < 10 ? fixed(number, decimals) : times(number);
  // So many decimals, or as many more as it takes to write none of the numbers as 1 that is not.
  const besideOne = (decimals, ...numbers) => {
    while (decimals < DECIMALS && numbers.some((one) => one !== 1 && Number(one.toFixed(decimals)) === 1)) decimals += 1;
    return decimals;
  };
  // How many times, from 1 up.
  const factor = (number) => {
    if (number >= 1e9) return `${short(number)}x`;
    const decimals = besideOne(number < 1.1 ? 3 : number < 10 ? 2 : number < 100 ? 1 : 0, number);
    return `${fixed(number, decimals)}x`;
  };
  // Head ÷ base with its interval; `low` and `high` are null where there is none.
  const ratio = (number, low = null, high = null) => {
    if (low === null || high === null) return plain(number, besideOne(3, number));
    const decimals = besideOne(low < high && high - low < 0.002 ? 4 : 3, low, high);
    const [at, from, to] = [number, low, high].map((one) => plain(one, decimals));
    return low === high ? at : `${at} [${from}, ${to}]`;
  };
  return {factor, ratio};
})();
