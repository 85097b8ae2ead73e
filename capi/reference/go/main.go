// Reference writes the documentation of Go packages as HTML pages, one each, with go/doc, which pkg.go.dev is made with
// too: reference OUT FOLDER... An exported name without a sentence is an error.
package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/doc/comment"
	"go/format"
	"go/parser"
	"go/token"
	"html/template"
	"log"
	"os"
	"path/filepath"
	"strings"
)

// item is an exported name or group of names: what pkg.go.dev shows under one heading.
type item struct {
	ID, Title, Declaration string
	Doc                    template.HTML
	Examples               []example
	Items                  []item
	Also                   []string // further names that it declares
}

type example struct{ Title, Code, Output string }

type page struct {
	Name, Path string
	Doc        template.HTML
	Examples   []example
	Items      []item
}

var layout = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>package {{.Name}}</title><link rel="stylesheet" href="../style.css"></head><body>
<p><a href="../index.html">tokenbucket</a></p>
<h1 id="pkg-overview">package {{.Name}}</h1><pre>import "{{.Path}}"</pre>
{{.Doc}}{{template "examples" .Examples}}
<h2 id="pkg-index">Index</h2><ul>{{range .Items}}{{template "entry" .}}{{end}}</ul>
{{range .Items}}{{template "item" .}}{{end}}
</body></html>
{{define "entry"}}<li><a href="#{{.ID}}">{{.Title}}</a>{{if .Items}}<ul>{{range .Items}}{{template "entry" .}}{{end}}</ul>{{end}}</li>{{end}}
{{define "item"}}<section><h3 id="{{.ID}}">{{.Title}}</h3>{{range .Also}}<span id="{{.}}"></span>{{end}}<pre>{{.Declaration}}</pre>
{{.Doc}}{{template "examples" .Examples}}{{range .Items}}{{template "item" .}}{{end}}</section>{{end}}
{{define "examples"}}{{range .}}<details><summary>Example{{with .Title}} ({{.}}){{end}}</summary><pre>{{.Code}}</pre>
{{with .Output}}<p>Output:</p><pre>{{.}}</pre>{{end}}</details>{{end}}{{end}}`))

// reader is one package, and what it misses.
type reader struct {
	files   *token.FileSet
	pkg     *doc.Package
	missing []string
}

func (r *reader) source(node any) string {
	var b strings.Builder
	if err := format.Node(&b, r.files, node); err != nil {
		log.Fatal(err)
	}
	return b.String()
}

func (r *reader) doc(name, text string) template.HTML {
	if strings.TrimSpace(text) == "" {
		r.missing = append(r.missing, r.pkg.Name+"."+name)
	}
	return r.html(text)
}

// html has links within a page and between the pages.
func (r *reader) html(text string) template.HTML {
	printer := r.pkg.Printer()
	printer.DocLinkURL = func(link *comment.DocLink) string {
		anchor := strings.Trim(link.Recv+"."+link.Name, ".")
		switch {
		case link.ImportPath == "":
			return "#" + anchor
		case !strings.HasPrefix(link.ImportPath, "tokenbucket"):
			return link.DefaultURL("https://pkg.go.dev")
		case anchor == "":
			anchor = "pkg-overview"
		}
		return filepath.Base(link.ImportPath) + ".html#" + anchor
	}
	return template.HTML(printer.HTML(r.pkg.Parser().Parse(text)))
}

func (r *reader) examples(all []*doc.Example) (found []example) {
	for _, e := range all {
		code := any(e.Code)
		if e.Play != nil {
			code = e.Play
		}
		found = append(found, example{e.Suffix, r.source(code), e.Output})
	}
	return found
}

func (r *reader) functions(funcs []*doc.Func) (items []item) {
	for _, f := range funcs {
		id, title := f.Name, "func "+f.Name
		if f.Recv != "" {
			receiver, _, _ := strings.Cut(strings.TrimPrefix(f.Recv, "*"), "[")
			id, title = receiver+"."+f.Name, "func ("+f.Recv+") "+f.Name
		}
		items = append(items, item{id, title, r.source(f.Decl), r.doc(id, f.Doc), r.examples(f.Examples), nil, nil})
	}
	return items
}

// values are groups of constants or variables, each of which or all of which have a comment.
func (r *reader) values(word string, values []*doc.Value) (items []item) {
	for _, v := range values {
		for _, spec := range v.Decl.Specs {
			s := spec.(*ast.ValueSpec)
			if v.Doc == "" && s.Doc.Text() == "" && s.Comment.Text() == "" {
				r.missing = append(r.missing, r.pkg.Name+"."+s.Names[0].Name)
			}
		}
		title := word + " " + strings.Join(v.Names, ", ")
		declaration := r.source(v.Decl)
		items = append(items, item{v.Names[0], title, declaration, r.html(v.Doc), nil, nil, v.Names[1:]})
	}
	return items
}

// fields are those of a struct, or the methods of an interface; what is embedded speaks for itself.
func (r *reader) fields(name string, decl *ast.GenDecl) {
	for _, spec := range decl.Specs {
		var list *ast.FieldList
		switch t := spec.(*ast.TypeSpec).Type.(type) {
		case *ast.StructType:
			list = t.Fields
		case *ast.InterfaceType:
			list = t.Methods
		default:
			continue
		}
		has := false
		for _, f := range list.List {
			// A comment above some fields is of all that follow without a blank line.
			line := func(p token.Pos) int { return r.files.Position(p).Line }
			has = f.Doc != nil || f.Comment != nil || has && line(f.Pos()) == line(previous(list, f))+1
			for _, n := range f.Names {
				if n.IsExported() && !has {
					r.missing = append(r.missing, r.pkg.Name+"."+name+"."+n.Name)
				}
			}
		}
	}
}

func previous(list *ast.FieldList, field *ast.Field) token.Pos {
	end := list.Pos()
	for _, f := range list.List {
		if f == field {
			return end
		}
		end = f.End()
	}
	return end
}

func (r *reader) types() (items []item) {
	for _, t := range r.pkg.Types {
		of := append(r.values("const", t.Consts), r.values("var", t.Vars)...)
		of = append(append(of, r.functions(t.Funcs)...), r.functions(t.Methods)...)
		r.fields(t.Name, t.Decl)
		items = append(items, item{t.Name, "type " + t.Name, r.source(t.Decl), r.doc(t.Name, t.Doc), r.examples(t.Examples), of, nil})
	}
	return items
}

// read is a package as it is built here, with the examples of its tests.
func read(folder string) *reader {
	r := &reader{files: token.NewFileSet()}
	built, err := build.ImportDir(folder, 0)
	if err != nil {
		log.Fatal(err)
	}
	var parsed []*ast.File
	for _, names := range [][]string{built.GoFiles, built.CgoFiles, built.TestGoFiles, built.XTestGoFiles} {
		for _, name := range names {
			file, err := parser.ParseFile(r.files, filepath.Join(folder, name), nil, parser.ParseComments)
			if err != nil {
				log.Fatal(err)
			}
			parsed = append(parsed, file)
		}
	}
	path := "tokenbucket"
	if built.Name != path {
		path += "/" + built.Name
	}
	if r.pkg, err = doc.NewFromFiles(r.files, parsed, path); err != nil {
		log.Fatal(err)
	}
	return r
}

func main() {
	log.SetFlags(0)
	var missing []string
	for _, folder := range os.Args[2:] {
		r := read(folder)
		p := page{r.pkg.Name, r.pkg.ImportPath, r.doc("package", r.pkg.Doc), r.examples(r.pkg.Examples), nil}
		p.Items = append(r.values("const", r.pkg.Consts), r.values("var", r.pkg.Vars)...)
		p.Items = append(append(p.Items, r.functions(r.pkg.Funcs)...), r.types()...)
		out, err := os.Create(filepath.Join(os.Args[1], p.Name+".html"))
		if err != nil {
			log.Fatal(err)
		}
		if err := layout.Execute(out, p); err != nil {
			log.Fatal(err)
		}
		missing = append(missing, r.missing...)
	}
	if len(missing) > 0 {
		log.Fatal(fmt.Sprint("without a sentence: ", strings.Join(missing, ", ")))
	}
}
