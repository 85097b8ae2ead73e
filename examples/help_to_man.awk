# Makes a manual page of section 1 from what a tool's --help prints: "Usage: NAME ...", a description, and sections of
# "Heading:" and indented text. Lines that begin with an option or a number are items, their text two blanks or more to
# the right; examples stay as they are.
# Usage: NAME --help | awk -v version=1.0.0 -f help_to_man.awk >NAME.1

function literal(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    gsub(/'/, "\\(aq", text)
    sub(/^\./, "\\\\\\&.", text)
    return text
}

function heading(text) {
    print ".SH " toupper(text)
    section = text
}

NR == 1 {
    name = $2
    usage = $0
    sub(/^Usage: [^ ]+ */, "", usage)
    next
}

!described && /^[A-Z]/ { # the first sentence is what the page is for
    what = tolower(substr($0, 1, 1)) substr($0, 2)
    sub(/\.( .*)?$/, "", what)
    print ".\\\" Made from " name " --help by examples/help_to_man.awk."
    printf ".TH %s 1 \"\" \"tokenbucket %s\" \"User Commands\"\n.nh\n.ad l\n", toupper(name), version
    heading("Name")
    print name " \\- " literal(what)
    heading("Synopsis")
    print ".B " name
    print literal(usage)
    heading("Description")
    print literal($0)
    described = 1
    next
}

/^[A-Z][A-Za-z ]*:$/ {
    heading(substr($0, 1, length($0) - 1))
    if (section == "Examples") print ".nf"
    next
}

/^$/ {
    if (section == "Description" || section == "Examples") blank = 1
    next
}

{
    text = $0
    sub(/^ +/, "", text)
    if (blank && section == "Description") print ".PP"
    if (blank && section == "Examples") print ""
    blank = 0
    if (/^ +(-|[0-9]+  )/ && section != "Examples") {
        split_at = match(text, /  +/)
        print ".TP"
        print ".B " literal(substr(text, 1, split_at ? split_at - 1 : length(text)))
        text = split_at ? substr(text, split_at + RLENGTH) : ""
    }
    if (text != "") print literal(text)
}

END {
    if (section == "Examples") print ".fi"
    heading("See also")
    print ".BR tokenbucket (3)"
}
