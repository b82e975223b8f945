/**
 * The page's style: the reader's own fonts and colours, light or dark.
 *
 * @module
 */

export const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; padding: 1.5rem; max-width: 80rem; }
header { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; }
h1 { font-size: 1.4rem; margin: 0; }
h2 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
h2 span { font-weight: normal; opacity: .6; margin-left: .4rem; }
#id { font-family: ui-monospace, monospace; }
#status { opacity: .7; margin: 0; }
#status.bad { color: light-dark(#b00020, #ff8a80); opacity: 1; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font: 13px/1.6 ui-monospace, monospace; }
th, td { text-align: left; padding: .15rem 1rem .15rem 0; white-space: nowrap; border-bottom: 1px solid #8884; }
th { font-weight: 600; opacity: .6; }
tbody:empty::after { content: "none"; opacity: .5; }
`;
