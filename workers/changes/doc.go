// Package changes tells when the files an application is made of have changed.
//
// Whatever comes from the kernel only says where to look: what counts is whether
// what is there now differs from what is known of it. So a chmod is nothing, a file
// that an editor renames over another is one change, and an event that comes late,
// twice or out of order leads to one look more and no mistake. Where events cannot
// be trusted any more (some were lost, a folder was renamed, which they go on to
// name as before) the watching begins anew and everything is looked at.
package changes
